//! The page in a real browser: narrow and wide, light and dark, while a load runs and after one failed.

use pilotfish_harness::{Browser, Holder, PATIENCE, Scheme, eventually};
use serde_json::Value;

use crate::{Bench, Watch};

const LOOKS: [(u32, Scheme); 4] = [
    (400, Scheme::Light),
    (400, Scheme::Dark),
    (1400, Scheme::Light),
    (1400, Scheme::Dark),
];

/// Texts whose letters stand out from what is behind them by less than WCAG's AA wants, 4.5 to 1.
const FAINT: &str = r#"
const channels = text => text.match(/[\d.]+/g).map(Number);
const brightness = ([red, green, blue]) => {
  const linear = [red, green, blue].map(value => value / 255)
    .map(value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const behind = node => {
  for (; node; node = node.parentElement) {
    const colour = channels(getComputedStyle(node).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const faint = [];
while (texts.nextNode()) {
  const node = texts.currentNode.parentElement;
  if (!texts.currentNode.textContent.trim() || !node.checkVisibility() || node.closest("script, noscript, style")) continue;
  const [one, other] = [channels(getComputedStyle(node).color), behind(node)].map(brightness);
  const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  if (contrast < 4.5) faint.push(texts.currentNode.textContent.trim() + ": " + contrast.toFixed(2));
}
return faint;
"#;

const OVERFLOW: &str = "return [document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth, \
    [...document.querySelectorAll('section *')].filter(node => node.getBoundingClientRect().right > innerWidth + 1).length]";

const ELSEWHERE: &str = "return performance.getEntriesByType('resource').map(entry => entry.name).filter(name => !name.startsWith(location.origin))";

/// What a person sees.
fn text(browser: &Browser) -> String {
    let text = browser.evaluate("return document.body.innerText");
    text.as_str().unwrap_or_default().to_owned()
}

/// Waits for words on the page, which nobody reloads.
#[track_caller]
fn shows(browser: &Browser, parts: &[&str]) {
    let mut last = String::new();
    let shown = eventually(&format!("{parts:?} on the page"), PATIENCE, || {
        let now = text(browser);
        if now != last {
            println!("the page: {now}");
            last.clone_from(&now);
        }
        parts.iter().all(|part| now.contains(part)).then_some(now)
    });
    assert!(!shown.contains("What you see is the past"), "{shown}");
}

/// However it is looked at, nothing is cut off or faint.
#[track_caller]
fn reads_well(browser: &Browser) {
    for (width, scheme) in LOOKS {
        browser.look(width, scheme);
        let overflow = browser.evaluate(OVERFLOW);
        assert_eq!(overflow, serde_json::json!([0, 0]), "{width} {scheme:?}");
        let faint = browser.evaluate(FAINT);
        assert_eq!(faint, serde_json::json!([]), "{width} {scheme:?}");
    }
    assert_eq!(browser.evaluate(ELSEWHERE), serde_json::json!([]));
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn the_page_reads_well_in_a_browser_while_a_load_runs_and_after_one_failed() {
    let bench = Bench::new();
    bench.publish(1);
    let watch = Watch::start(bench.watch().arg("--swap-timeout=10m"));
    bench.becomes_live(1);
    let browser = Browser::start(&bench.world);
    browser.open(&watch.url("/"));
    shows(&browser, &["LIVE", "app", "since ", "succeeded"]);
    reads_well(&browser);

    // The second release waits for the moment to swap: somebody reads.
    let reader = Holder::begin(&bench.server, "SELECT COUNT(*) FROM app.t");
    bench.publish(2);
    shows(&browser, &["Release ", "swapping", "500 rows, table t"]);
    let bar = "const bar = document.querySelector('progress'); return [bar.value, bar.max]";
    let bar = browser.evaluate(bar);
    assert!(bar[0].as_f64() > Some(1.0) && bar[0] == bar[1], "{bar}");
    reads_well(&browser);
    reader.commit();
    bench.becomes_live(2);
    shows(&browser, &["Nothing."]);

    let dump = Bench::dump(3);
    bench.publish_text(3, &dump[..dump.len() / 2]);
    let failed = watch.newest_is("failed");
    let reason = failed["error"].as_str().unwrap();
    assert!(reason.contains("dump.sql"), "{reason}");
    shows(&browser, &["failed", reason, "is not live", "is bad data"]);
    reads_well(&browser);
    let live = browser.evaluate("return document.getElementById('live').innerText");
    let digest: Value = watch.state()["live"][0]["digest"].clone();
    let digest = &digest.as_str().unwrap()[..12];
    assert!(live.as_str().unwrap().contains(digest), "{live}");
    watch.ends_well();
}
