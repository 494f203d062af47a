//! The page at `/`, for people.

use std::fmt::Write as _;

use pilotfish_runtime::escape_html;

/// Where the metrics are, and what fails, of which nothing is known before the first scrape.
pub(crate) fn page(
    server: &str,
    metrics_path: &str,
    failing: Option<&[(String, String)]>,
) -> String {
    let mut state = String::new();
    for (collector, why) in failing.unwrap_or_default() {
        let what = match collector.as_str() {
            "" => "The server does not answer".to_owned(),
            name => format!("Collector {name} fails"),
        };
        // Writing into a string cannot fail.
        let _ = write!(state, "<p>{}: {}</p>", escape_html(&what), escape_html(why));
    }
    if state.is_empty() {
        state.push_str(match failing {
            Some(_) => "<p>Nothing fails.</p>",
            None => "<p>Nobody has scraped yet.</p>",
        });
    }
    let (server, path) = (escape_html(server), escape_html(metrics_path));
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>pilotfish-exporter</title></head><body>\
         <h1>pilotfish-exporter</h1><p>Server {server}.</p>{state}\
         <p><a href=\"{path}\">Metrics</a></p></body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_called_well_before_it_was_looked_at() {
        let shown = |failing| page("db:3306", "/metrics", failing);
        assert!(shown(None).contains("Nobody has scraped yet"));
        assert!(shown(Some(&[])).contains("Nothing fails"));
        let away = [(String::new(), "<refused>".to_owned())];
        assert!(shown(Some(&away)).contains("does not answer: &lt;refused&gt;"));
    }
}
