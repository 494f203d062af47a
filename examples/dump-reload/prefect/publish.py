"""A Prefect flow: a new dump goes to S3, and every database pod has it live before the run succeeds.

    python publish.py run   '{"dump": "/dumps/drugs.sql.zst", "bucket": "dumps", "prefix": "drugs/"}'
    python publish.py serve '0 3 * * *' '{...}'

Account and endpoint of S3 are found as every AWS tool finds them (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ..).
"""

import hashlib
import json
import math
import socket
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.futures import wait
from prefect.runtime import flow_run

# S3 takes 10,000 parts of 5 MiB or more; one at a time is in memory.
SMALLEST_PART = 16 << 20
MOST_PARTS = 10_000

# `watch` cuts a long poll at a minute; the client hangs up later than that.
POLL_SECONDS = 30
HTTP_TIMEOUT = httpx.Timeout(10, read=2 * POLL_SECONDS)
# Before a pod that does not answer is asked again.
PAUSE_SECONDS = 2


class LoadFailed(Exception):
    """A pod will not have the release live; the message says why."""


class Passing(Exception):
    """What passes by itself: the pod restarts, drains, or cannot reach its server."""


@task(retries=3, retry_delay_seconds=10)
def upload(dump: Path, bucket: str, prefix: str) -> str:
    """Stores the dump with its checksum beside it, and returns the SHA-256; reads the file once.

    The checksum is stored first: a checksum alone is no dump for `fetch`, a dump alone would be taken
    without proof. The digest is known only after the last byte, so the dump travels as a multipart
    upload: nobody sees it before it is completed, which happens in one step and at the very end. Each
    attempt has a key of its own, so that no checksum ever meets an older dump.
    """
    # Stores other than AWS refuse the checksums that boto3 adds by default; here SHA-256 is the proof.
    s3 = boto3.client("s3", config=Config(request_checksum_calculation="when_required"))
    # Names sort as times do, for `fetch --pick name-desc`.
    key = f"{prefix}{datetime.now(UTC):%Y-%m-%dT%H%M%S.%fZ}-{dump.name}"
    part_bytes = max(SMALLEST_PART, math.ceil(dump.stat().st_size / MOST_PARTS))
    digest = hashlib.sha256()
    parts: list[dict[str, Any]] = []
    started = s3.create_multipart_upload(Bucket=bucket, Key=key)
    target = {"Bucket": bucket, "Key": key, "UploadId": started["UploadId"]}
    try:
        with dump.open("rb") as file:
            while part := file.read(part_bytes):
                digest.update(part)
                number = len(parts) + 1
                stored = s3.upload_part(**target, PartNumber=number, Body=part)
                parts.append({"PartNumber": number, "ETag": stored["ETag"]})
        line = f"{digest.hexdigest()}  {Path(key).name}\n"
        s3.put_object(Bucket=bucket, Key=f"{key}.sha256", Body=line.encode())
        s3.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
    except BaseException:
        # Parts that belong to no object cost money. What went wrong before is the error to tell.
        with suppress(BotoCoreError, ClientError):
            s3.abort_multipart_upload(**target)
        raise
    get_run_logger().info("stored s3://%s/%s, SHA-256 %s", bucket, key, digest.hexdigest())
    return digest.hexdigest()


@task(task_run_name="load {pod}")
def load(
    pod: str, load_id: str, sha256: str, token_file: Path, timeout_seconds: float
) -> dict[str, Any]:
    """Asks one pod for the release and waits until it is live there; returns the load as `watch` shows it.

    Whatever passes is answered by asking again: the same id is the same load, also for the next process
    in the pod, and for this task when it is retried.
    """
    url = f"{pod.rstrip('/')}/v1/loads/{load_id}"
    deadline = time.monotonic() + timeout_seconds
    asked, last = False, "it was never asked"
    with httpx.Client(timeout=HTTP_TIMEOUT) as client:
        while (left := deadline - time.monotonic()) > 0:
            try:
                if asked:
                    patience = f"{math.ceil(min(left, POLL_SECONDS))}s"
                    shown = answer_of(client, "GET", url, params={"wait": patience})
                else:
                    # Read each time: a mounted Secret changes under a process that runs.
                    bearer = {"Authorization": f"Bearer {token_file.read_text().strip()}"}
                    shown = answer_of(client, "PUT", url, json={"release": sha256}, headers=bearer)
            except Passing as trouble:
                asked, last = False, str(trouble)
                get_run_logger().warning("%s is asked again: %s", pod, trouble)
                time.sleep(PAUSE_SECONDS)
                continue
            state, error = shown["state"], shown["error"]
            if state == "succeeded":
                return shown
            if state in ("failed", "cancelled"):
                raise LoadFailed(f"load {state}: {error}")
            asked, last = True, f"load {state}: {error or 'see the pages of its watch and fetch'}"
    raise LoadFailed(f"gave up after {timeout_seconds:.0f} s: {last}")


def answer_of(client: httpx.Client, method: str, url: str, **request: Any) -> dict[str, Any]:
    """One request; the load that `watch` shows, or why there is none."""
    try:
        answer = client.request(method, url, **request)
    except httpx.TransportError as error:
        raise Passing(f"{type(error).__name__}: {error}") from error
    if answer.is_success:
        shown: dict[str, Any] = answer.json()
        return shown
    said = f"{answer.status_code} {answer.text.strip()}"
    # 401: the token changes under pods and flow, a minute or two apart; it is read anew for each request.
    # 410: the id is not known (any more), 429: too many loads wait.
    if answer.status_code in (401, 410, 429) or answer.status_code >= 500:
        raise Passing(said)
    raise LoadFailed(f"refused: {said}")


@flow(name="publish-dump")
def publish(
    dump: Path,
    bucket: str,
    prefix: str = "",
    pods: list[str] | None = None,
    service: str = "db",
    replicas: int = 2,
    token_file: Path = Path("/run/secrets/watch/token"),
    timeout_seconds: float = 3600,
) -> None:
    """Publishes a dump and has all pods load it.

    `pods` are the URLs of `watch`, one for each pod, since a Service reaches only one of them; without
    them they are those of the StatefulSet behind the headless `service`: `replicas` of them, or as many
    as its name has addresses, if those are more.
    """
    if not dump.stat().st_size:
        raise ValueError(f"{dump} is empty")
    if not pods:
        count = max(replicas, addresses_of(service))
        pods = [f"http://{service}-{number}.{service}:9808" for number in range(count)]
    sha256 = upload(dump, bucket, prefix)
    # A run that is started again (with Retry, say) asks for the same load unless its dump is another one.
    load_id = f"{flow_run.id}-{sha256[:12]}"
    loads = {pod: load.submit(pod, load_id, sha256, token_file, timeout_seconds) for pod in pods}
    wait(list(loads.values()))
    results = {pod: future.result(raise_on_failure=False) for pod, future in loads.items()}
    create_table_artifact(
        [row(pod, result) for pod, result in results.items()],
        key="loads",
        description=f"Release {sha256} of {dump.name}, asked for as load {load_id}",
    )
    failures = [f"{pod}: {why}" for pod, why in results.items() if isinstance(why, BaseException)]
    if failures:
        raise LoadFailed("; ".join(failures))


def addresses_of(service: str) -> int:
    """How many pods a headless Service has now; 0 where its name is not known."""
    try:
        return len({told[4][0] for told in socket.getaddrinfo(service, None)})
    except socket.gaierror:
        return 0


def row(pod: str, result: dict[str, Any] | BaseException) -> dict[str, Any]:
    """One pod's row of the table that the run leaves behind."""
    if isinstance(result, BaseException):
        return {"pod": pod, "result": str(result), "rows": None, "seconds": None}
    # No report: the release was live before it was asked for, nothing had to be loaded.
    report = result["report"] or {}
    told = result["summary"] or "was live already"
    return {"pod": pod, "result": told, "rows": report.get("rows"), "seconds": report.get("seconds")}


if __name__ == "__main__":
    # Prefect checks the parameters by the types above, here as in its page.
    match sys.argv[1:]:
        case ["run", parameters]:
            publish(**json.loads(parameters))
        case ["serve", cron, parameters]:
            # One run at a time: of two releases under way the later one replaces the other.
            publish.serve("daily", cron=cron, parameters=json.loads(parameters), limit=1)
        case _:
            sys.exit(__doc__)
