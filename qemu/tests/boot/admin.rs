//! The page at the root of the admin port in a real browser: charts that move, the connections with
//! the browser's own among them, no complaint.

use crate::harness::browser::{browse, checked, value, watched};
use crate::harness::guest::ADDRESS;
use crate::harness::heavy;
use crate::harness::load::load_for;
use crate::harness::network::{boot_on_tap, in_namespace};
use crate::harness::target;
use std::fs;
use std::path::Path;

/// How long the browser watches, in milliseconds.
const WATCHED: u64 = 7_000;
/// How long until it takes a picture.
const GLANCE: u64 = 4_000;
/// More bytes than an empty page of this size takes as a picture.
const PICTURE: u64 = 40_000;
/// Lines of all charts.
const LINES: u64 = 13;

/// A page that shows the live one and writes down, as it goes, what that shows. A script that
/// never ends keeps the browser from being done.
const CHECK: &str = r##"<!doctype html><title>check</title>
<style>body { margin: 0 } iframe { border: 0 }</style>
<iframe id="frame" src="/" width="1180" height="1480"></iframe><pre id="result">nothing</pre>
<script>
const frame = document.getElementById("frame");
const [rates, tables] = [new Set(), new Set()];
let [points, most, narrow, wide] = [0, 0, 0, 0];
setInterval(() => {
    const page = frame.contentDocument;
    if (!page?.querySelector("#flows th[aria-sort=descending]")) return;
    const all = (selector) => [...page.querySelectorAll(selector)];
    rates.add(page.querySelector(".tiles p").textContent);
    tables.add(page.querySelector("#flows tbody").textContent);
    const lines = all(".charts path.line").map((line) => line.getAttribute("d").split("L").length);
    points = Math.max(points, ...lines);
    most = Math.max(most, all("#flows tbody tr").length);
    // At the width of a phone, too, nothing but the table is to be scrolled sideways.
    narrow += frame.clientWidth === 390;
    wide += page.documentElement.scrollWidth > page.documentElement.clientWidth;
    if (performance.now() > 5000) frame.width = 390;
    const own = all("#flows tbody tr").filter((row) => row.cells[2].textContent === "9100");
    document.getElementById("result").textContent = [
        "state=" + page.getElementById("state").textContent,
        "rates=" + rates.size, "tables=" + tables.size, "points=" + points, "lines=" + lines.length,
        "most=" + most, "own=" + own.length, "peer=" + own[0]?.cells[1].textContent,
        "about=" + page.getElementById("about").textContent,
        "gap=" + page.querySelectorAll(".tiles p")[3].textContent,
        "named=" + all(".charts svg").filter((svg) => /\d/.test(svg.getAttribute("aria-label"))).length,
        "sort=" + page.querySelector("#flows th[aria-sort=descending]").textContent,
        "resets=" + all("#trouble dd")[0].textContent,
        "narrow=" + narrow, "wide=" + wide,
    ].join(";");
}, 200);
</script>
<script async src="/events?ms=60000"></script>"##;

#[test]
fn the_admin_page_moves_and_shows_who_looks_at_it() {
    let _heavy = heavy();
    in_namespace(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/live/site");
        let served = boot_on_tap(|machine| {
            machine.kernel = target("quartz-live.elf");
            machine.site = checked(&folder, CHECK);
        });
        let profile = tempfile::tempdir().unwrap();
        let load = load_for(&served, 30);
        let url = format!("http://{ADDRESS}:9100/check.html");
        let result = watched(&url, profile.path(), WATCHED);
        let number = |key: &str| value(&result, key).parse::<u64>().unwrap();
        assert_eq!(value(&result, "state"), "live", "{result}");
        assert!(number("rates") >= 3 && number("tables") >= 2, "{result}");
        assert!(number("points") >= 3, "{result}");
        assert_eq!((number("lines"), number("named")), (LINES, 6), "{result}");
        // Those of the load, and the browser's own.
        assert!(number("most") > 8 && number("own") >= 1, "{result}");
        assert!(value(&result, "peer").starts_with("10.0.2.2:"), "{result}");
        assert!(value(&result, "about").contains("up "), "{result}");
        assert!(value(&result, "gap").contains(" of "), "{result}");
        assert_eq!(value(&result, "sort"), "Age", "{result}");
        assert_eq!(number("resets"), 0, "{result}");
        assert!(number("narrow") >= 1 && number("wide") == 0, "{result}");

        let picture = profile.path().join("admin.png");
        let word = format!("--screenshot={}", picture.display());
        let size = "--window-size=1180,1480";
        browse(&url, profile.path(), GLANCE, &[&word, size]);
        let bytes = fs::metadata(&picture).unwrap().len();
        assert!(bytes > PICTURE, "a picture of {bytes} bytes");
        drop(load);
        served.stop();
    });
}
