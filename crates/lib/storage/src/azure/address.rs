//! Addresses of blobs: `az://container/key`, and with the account's host before the container.

use crate::Address;

/// Where Azure has its accounts: the public cloud, its newer zones, and those of governments.
pub(super) const CLOUDS: [&str; 4] = [
    ".blob.core.windows.net",
    ".blob.storage.azure.net",
    ".blob.core.usgovcloudapi.net",
    ".blob.core.chinacloudapi.cn",
];

/// Reads what follows `az://`. A container's name has no dot: what has one in its place is a host.
pub(crate) fn address(rest: &str) -> Result<Address, &'static str> {
    if rest.contains('?') {
        return Err("an az address has no query: a SAS token comes from AZURE_STORAGE_SAS_TOKEN");
    }
    let (first, behind) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, path) = if first.contains('.') {
        (Some(first), behind)
    } else {
        (None, rest)
    };
    let known = |host: &str| {
        let account = CLOUDS.iter().find_map(|domain| host.strip_suffix(domain));
        let letters = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
        account.is_some_and(|account| !account.is_empty() && account.bytes().all(letters))
    };
    if !host.is_none_or(known) {
        return Err(
            "the host is not Azure's: write az://ACCOUNT.blob.core.windows.net/container/key, \
             or az://container/key and --endpoint",
        );
    }
    let (container, key) = path.split_once('/').unwrap_or((path, ""));
    // `$web`, `$root` and `$logs` are containers, too.
    let letters = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'$');
    if container.is_empty() || !container.bytes().all(letters) {
        return Err(
            "write az://container/key, in the container's name lower-case letters, digits and hyphens",
        );
    }
    Ok(Address::Azure {
        host: host.map(str::to_owned),
        container: container.to_owned(),
        key: key.to_owned(),
    })
}

/// Whether a host is an account's in one of Azure's clouds.
pub(super) fn is_azures(host: &str) -> bool {
    CLOUDS.iter().any(|domain| host.ends_with(domain))
}
