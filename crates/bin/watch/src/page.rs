//! The page at `/`: a script draws the state and renews it; whoever runs no script, `curl` above all,
//! reads the same in a few plain lines.

use std::fmt::Write as _;

use pilotfish_loader::State;
use pilotfish_runtime::escape_html;
use pilotfish_volume::utc;

use crate::dispatcher::short;
use crate::view::{LoadView, View};

/// Where the lines go.
const MARK: &str = "{{state}}";

/// The page with the state of now.
pub(crate) fn page(view: &View) -> String {
    let mut shown = String::new();
    for (index, line) in lines(view).iter().enumerate() {
        let end = if index == 0 { "" } else { "\n" };
        // Writing into a string cannot fail.
        let _ = write!(shown, "{end}<p>{}</p>", escape_html(line));
    }
    include_str!("page.html").replacen(MARK, &shown, 1)
}

/// The state in plain words, a line for each part.
fn lines(view: &View) -> Vec<String> {
    let ready = if view.ready { "Ready." } else { "Not ready." };
    let mut lines = vec![ready.to_owned()];
    lines.extend(view.live.iter().map(|one| {
        let (since, digest) = (utc(one.since), short(&one.digest));
        format!("Live in {}: release {digest} since {since}.", one.database)
    }));
    if view.live.is_empty() {
        let known = view.server.reachable == Some(true);
        let live = if known { "no release" } else { "not known" };
        lines.push(format!("Live: {live}."));
    }
    let idle = if view.draining {
        "nothing any more"
    } else {
        "nothing"
    };
    let running = view.running.as_ref();
    let running = running.map_or_else(|| idle.to_owned(), running_load);
    lines.push(format!("Running: {running}."));
    lines.push(format!("On the volume: {}.", view.volume.status));
    if let Some(obstacle) = &view.obstacle {
        lines.push(format!("In the way: {}.", obstacle.message));
    }
    if let Some(error) = &view.server.error {
        lines.push(format!("Server: {error}."));
    }
    let mut failures = view.loads.iter().filter_map(|load| {
        let failed = load.state != State::Cancelled;
        let error = load.error.as_ref().filter(|_| failed)?;
        let (id, at) = (&load.id, utc(load.updated_at));
        Some(format!("Last error: load {id} at {at}: {error}."))
    });
    lines.extend(failures.next());
    lines
}

fn running_load(load: &LoadView) -> String {
    let release = load.digest.as_deref().map_or("unknown", short);
    let of = |total: Option<u64>| total.map_or_else(String::new, |total| format!(" of {total}"));
    format!(
        "release {release}, {}, {}{} rows, {}{} bytes read, since {}",
        load.phase.unwrap_or("starting"),
        load.rows,
        of(load.rows_total),
        load.bytes,
        of(load.bytes_total),
        utc(load.created_at)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{ObstacleView, ServerView, VolumeView};

    #[test]
    fn what_others_wrote_is_text_and_no_markup() {
        let evil = "</noscript><script>alert('1')</script> & \"{{state}}\"";
        let view = View {
            volume: VolumeView {
                status: evil.to_owned(),
                ..VolumeView::default()
            },
            obstacle: Some(ObstacleView {
                reason: "failing",
                message: evil.to_owned(),
            }),
            server: ServerView {
                reachable: Some(false),
                error: Some(evil.to_owned()),
            },
            ..View::default()
        };
        let page = page(&view);
        let safe = "&lt;/noscript&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; \
                    &quot;{{state}}&quot;";
        for line in ["On the volume: ", "In the way: ", "Server: "] {
            let line = format!("<p>{line}{safe}.</p>");
            assert!(page.contains(&line), "{line}\n{page}");
        }
        let untouched = include_str!("page.html");
        for part in ["<script", "</noscript>"] {
            let count = |text: &str| text.matches(part).count();
            assert_eq!(count(&page), count(untouched), "{part}");
        }
    }
}
