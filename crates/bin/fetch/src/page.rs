//! The page at `/`: what is on the volume, what is running, what went wrong; readable on a phone.

use std::fmt::Write;

use pilotfish_runtime::escape_html;
use pilotfish_volume::utc;

use crate::api::{Round, Status};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:44rem;padding:1rem;\
color:#123;background:#fff}h1{font-size:1.2rem}h2{font-size:1rem;margin:1.5rem 0 .3rem}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:0}dt{color:#567}\
dd{margin:0;overflow-wrap:anywhere}progress{width:100%}li{margin:.3rem 0;overflow-wrap:anywhere}\
.bad{color:#b00020}@media(prefers-color-scheme:dark){body{color:#dde;background:#111}dt{color:#9ab}\
.bad{color:#ff8a80}}";

/// The page as HTML, with everything it needs inside.
pub(crate) fn render(status: &Status, now: u64) -> String {
    let matching = status
        .matching
        .as_deref()
        .map(|glob| format!(", --match {}", escape_html(glob)));
    let mut page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=refresh content=5><title>pilotfish fetch</title><link rel=icon href=data:,>\
         <style>{STYLE}</style><h1>pilotfish fetch</h1><p>from {}{}</p>",
        escape_html(&status.source),
        matching.unwrap_or_default()
    );
    // Writing into a String cannot fail.
    let _ = write_release(&mut page, status, now);
    let _ = write_running(&mut page, status, now);
    let _ = write_rounds(&mut page, status, now);
    page.push_str("<p><a href=/metrics>metrics</a> <a href=/v1/fetches>as JSON</a></p></html>\n");
    page
}

fn write_release(page: &mut String, status: &Status, now: u64) -> std::fmt::Result {
    page.push_str("<h2>On the volume</h2>");
    let Some(release) = &status.release else {
        page.push_str("<p class=bad>Nothing yet.</p>");
        return Ok(());
    };
    write!(
        page,
        "<dl><dt>release<dd>{}<dt>fetched<dd>{}, {} ago<dt>object<dd>{}<dt>size<dd>{}\
         <dt>SHA-256<dd>{}<dt>files<dd>{}</dl>",
        escape_html(&release.release),
        utc(release.fetched_at),
        ago(now, release.fetched_at),
        escape_html(&release.source_url),
        bytes(release.size),
        escape_html(&release.sha256),
        release.files.len()
    )
}

fn write_running(page: &mut String, status: &Status, now: u64) -> std::fmt::Result {
    page.push_str("<h2>Now</h2>");
    let (done, total) = (status.transfer_done_bytes, status.transfer_size_bytes);
    if !status.running {
        page.push_str("<p>Waiting for the next look.</p>");
    } else if total > 0 && done < total {
        let (done_text, total_text) = (bytes(done.unsigned_abs()), bytes(total.unsigned_abs()));
        write!(page, "<p>Fetching: {done_text} of {total_text}</p>")?;
        write!(page, "<progress max={total} value={done}></progress>")?;
    } else {
        page.push_str("<p>Looking at the source.</p>");
    }
    write_problem(page, status, now)
}

/// What goes wrong for now, and what readers have meanwhile.
fn write_problem(page: &mut String, status: &Status, now: u64) -> std::fmt::Result {
    let Some(problem) = &status.problem else {
        return Ok(());
    };
    write!(
        page,
        "<p class=bad>{} failures in a row, for {}: {}</p>",
        status.consecutive_failures,
        ago(now, problem.since),
        escape_html(&problem.error)
    )?;
    if let Some(hint) = &problem.hint {
        write!(page, "<p>{}</p>", escape_html(hint))?;
    }
    if status.release.is_some() {
        page.push_str("<p>The release on the volume stays in use.</p>");
    }
    match u64::try_from(status.last_success) {
        Ok(last @ 1..) => write!(page, "<p>Last success {} ago.</p>", ago(now, last)),
        _ => Ok(()),
    }
}

fn write_rounds(page: &mut String, status: &Status, now: u64) -> std::fmt::Result {
    if status.rounds.is_empty() {
        return Ok(());
    }
    page.push_str("<h2>Lately</h2><ul>");
    for Round {
        at,
        outcome,
        release,
        received_bytes,
        problem,
    } in &status.rounds
    {
        write!(
            page,
            "<li>{} ago: {}",
            ago(now, *at),
            escape_html(&outcome.replace('_', " "))
        )?;
        if let Some(release) = release {
            write!(
                page,
                ", {} ({} received)",
                escape_html(release),
                bytes(*received_bytes)
            )?;
        }
        if let Some(problem) = problem {
            write!(page, "<br><span class=bad>{}</span>", escape_html(problem))?;
        }
    }
    page.push_str("</ul>");
    Ok(())
}

fn ago(now: u64, then: u64) -> String {
    match now.saturating_sub(then) {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds @ 7200..=172_799 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

fn bytes(count: u64) -> String {
    let mut unit = count as f64;
    for name in ["B", "KiB", "MiB", "GiB"] {
        if unit < 1024.0 {
            return if name == "B" {
                format!("{count} B")
            } else {
                format!("{unit:.1} {name}")
            };
        }
        unit /= 1024.0;
    }
    format!("{unit:.1} TiB")
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::api::Problem;

    #[test]
    fn what_others_named_is_escaped() {
        let status = Status {
            source: "file:///<script>".into(),
            matching: Some("<*>".into()),
            running: true,
            transfer_done_bytes: 1024,
            transfer_size_bytes: 4096,
            consecutive_failures: 2,
            problem: Some(Problem {
                since: 10,
                error: "list <b>".into(),
                hint: Some("look at <i>".into()),
            }),
            last_success: 40,
            release: None,
            rounds: VecDeque::from([Round {
                at: 10,
                outcome: "bad data".into(),
                release: None,
                received_bytes: 0,
                problem: Some("a & b".into()),
            }]),
        };
        let page = render(&status, 70);
        assert!(page.contains("--match &lt;*&gt;"), "{page}");
        assert!(
            page.contains("file:///&lt;script&gt;") && !page.contains("<script>"),
            "{page}"
        );
        assert!(page.contains("1.0 KiB of 4.0 KiB"), "{page}");
        assert!(
            page.contains("2 failures in a row, for 60 s: list &lt;b&gt;")
                && page.contains("look at &lt;i&gt;")
                && page.contains("Last success 30 s ago"),
            "{page}"
        );
        assert!(
            page.contains("60 s ago: bad data") && page.contains("a &amp; b"),
            "{page}"
        );
    }
}
