//! The page at `/`, for people.

use std::fmt::Write as _;

use pilotfish_runtime::escape_html;

/// Where the metrics are, and what fails.
pub(crate) fn page(server: &str, metrics_path: &str, failing: &[(String, String)]) -> String {
    let mut state = String::new();
    for (collector, why) in failing {
        let what = match collector.as_str() {
            "" => "The server does not answer".to_owned(),
            name => format!("Collector {name} fails"),
        };
        // Writing into a string cannot fail.
        let _ = write!(state, "<p>{}: {}</p>", escape_html(&what), escape_html(why));
    }
    if state.is_empty() {
        state.push_str("<p>Nothing fails.</p>");
    }
    let (server, path) = (escape_html(server), escape_html(metrics_path));
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>pilotfish-exporter</title></head><body>\
         <h1>pilotfish-exporter</h1><p>Server {server}.</p>{state}\
         <p><a href=\"{path}\">Metrics</a></p></body></html>\n"
    )
}
