//! The page of `rollfit analyze --html` in a real browser: it renders, light and dark, wide and narrow; no chart is empty,
//! nothing is complained of, nothing is loaded. Where there is no Chromium these tests say so and skip.

use std::path::PathBuf;

use rollfit_job::record::Record;
use rollfit_testkit::record::made;
use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::sandbox::Sandbox;

const CHARTS: [&str; 5] = ["stages", "lanes", "throughput", "slowest", "workers"];

/// A page of a record, in a sandbox that it lasts as long as.
fn page(record: Record) -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    let run = record.header.run.clone();
    sandbox.keep(record);
    sandbox.run(&["analyze", &run, "--html", "page.html"]).exits(0);
    let page = sandbox.path("page.html");
    (sandbox, page)
}

/// How many marks of a chart take up room on the screen.
fn marks(browser: &mut Chromium, chart: &str) -> u64 {
    let shapes = format!("document.querySelectorAll('#{chart} svg :is(path, circle):not(.hit)')");
    let has_size = "const box = shape.getBoundingClientRect(); return box.width > 0 && box.height > 0;";
    let count = format!("[...{shapes}].filter((shape) => {{ {has_size} }}).length");
    browser.evaluate(&count).as_u64().unwrap()
}

#[track_caller]
fn is_quiet(browser: &Chromium, page: &std::path::Path) {
    assert_eq!(browser.complaints(), Vec::<&Value>::new());
    let itself = format!("file://{}", page.display());
    let loaded = browser.loaded();
    assert!(loaded.iter().all(|url| *url == itself || url.starts_with("data:")), "{loaded:?}");
}

#[test]
fn every_chart_has_marks_light_and_dark_wide_and_narrow_and_nothing_is_complained_of() {
    let Some(mut browser) = Chromium::start() else { return };
    let (_sandbox, page) = page(made(300, 4));
    for (width_px, scheme) in [(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")] {
        browser.open(&page, width_px, scheme);
        for chart in CHARTS {
            let marks = marks(&mut browser, chart);
            assert!(marks >= 3, "{chart} at {width_px} px, {scheme}: {marks} marks");
        }
        let width = browser.evaluate("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(width <= u64::from(width_px), "at {width_px} px the page is {width} px wide");
        is_quiet(&browser, &page);
    }
}

#[test]
fn ten_thousand_partitions_and_a_record_that_hardly_tells_render_as_well() {
    let Some(mut browser) = Chromium::start() else { return };
    let (_large, large) = page(made(10_000, 16));
    browser.open(&large, 1280, "light");
    assert!(marks(&mut browser, "lanes") > 500);
    is_quiet(&browser, &large);

    let (_bare, bare) = page(Record { header: made(1, 1).header, ..Record::default() });
    browser.open(&bare, 1280, "dark");
    let told = "document.querySelectorAll('figure').length + document.querySelectorAll('figure svg').length";
    assert_eq!(browser.evaluate(told), 5, "each chart says why it is not there");
    is_quiet(&browser, &bare);
}

#[test]
fn bars_are_as_long_as_the_record_says() {
    let Some(mut browser) = Chromium::start() else { return };
    let (sandbox, page) = page(made(300, 4));
    let analysis = sandbox.run(&["analyze", "--json"]).exits(0).json();
    browser.open(&page, 1280, "light");
    let widths = browser.evaluate(
        "[...document.querySelectorAll('#slowest svg g')].map((row) => {
            const boxes = [...row.querySelectorAll('path')].map((path) => path.getBBox());
            return Math.max(...boxes.map((box) => box.x + box.width)) - Math.min(...boxes.map((box) => box.x));
        })",
    );
    let widths: Vec<f64> = widths.as_array().unwrap().iter().map(|width| width.as_f64().unwrap()).collect();
    let took = |at: usize| analysis["slowest"][at]["took_s"].as_f64().unwrap();
    assert!(widths.len() >= 5);
    for (at, width) in widths.iter().enumerate() {
        // Edges are written to a tenth of a pixel.
        assert!((width / widths[0] - took(at) / took(0)).abs() < 0.2 / widths[0], "{at}: {widths:?}");
    }
}

#[test]
fn texts_and_marks_stand_out_from_what_is_behind_them() {
    let Some(mut browser) = Chromium::start() else { return };
    let (_sandbox, page) = page(made(20, 2));
    for scheme in ["light", "dark"] {
        browser.open(&page, 1280, scheme);
        let contrasts = browser.evaluate(CONTRASTS);
        let contrasts = contrasts.as_object().unwrap();
        assert_eq!(contrasts.len(), 23);
        for (name, contrast) in contrasts {
            // WCAG 2: 4.5 for text, 3 for what else one has to see.
            let least = if ["text", "muted"].contains(&name.split(' ').next().unwrap()) { 4.5 } else { 3.0 };
            assert!(contrast.as_f64().unwrap() >= least, "{name}, {scheme}: {contrast}");
        }
    }
}

/// The contrast of each colour with the surface that it is seen on, by the formula of WCAG 2.
const CONTRASTS: &str = r#"(() => {
    const probe = document.body.appendChild(document.createElement("span"));
    const luminance = (name) => {
        probe.style.color = `var(--${name})`;
        const parts = getComputedStyle(probe).color.match(/[\d.]+/g).map((part) => part / 255);
        const [r, g, b] = parts.map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (one, other) => {
        const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
        return (light + 0.05) / (dark + 0.05);
    };
    const marks = ["idle", "waiting", "connecting", "querying", "reading", "computing", "encoding", "sending",
        "deleting", "keying", "analyzing", "committing", "vacuuming", "throttled", "pausing", "accent", "own", "server",
        "others"];
    const pairs = [...marks, "text", "muted"].map((name) => [name, "surface"]);
    pairs.push(["text", "page"], ["muted", "page"]);
    return Object.fromEntries(pairs.map(([one, other]) => [`${one} on ${other}`, contrast(one, other)]));
})()"#;

#[test]
fn the_scheme_can_be_chosen_and_a_mark_tells_what_it_is() {
    let Some(mut browser) = Chromium::start() else { return };
    let (_sandbox, page) = page(made(20, 2));
    browser.open(&page, 1280, "light");
    const BACKGROUND: &str = "getComputedStyle(document.body).backgroundColor";
    let light = browser.evaluate(BACKGROUND);
    browser.evaluate("document.getElementById('scheme').click()");
    assert_ne!(browser.evaluate(BACKGROUND), light);
    browser.evaluate("document.getElementById('scheme').click()");
    assert_eq!(browser.evaluate(BACKGROUND), light);

    let place = browser.evaluate(
        "(() => { const mark = document.querySelector('#slowest svg g path'); mark.scrollIntoView();
            const box = mark.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()",
    );
    let moved = json!({ "type": "mouseMoved", "x": place[0], "y": place[1] });
    browser.call("Input.dispatchMouseEvent", moved);
    let told = browser.evaluate("document.getElementById('tip').textContent");
    assert!(told.as_str().unwrap().starts_with("usdjpy 2000-01, written, "), "{told}");
    is_quiet(&browser, &page);
}

#[test]
fn on_paper_it_is_light_and_what_was_folded_is_open() {
    let Some(mut browser) = Chromium::start() else { return };
    let (_sandbox, page) = page(made(20, 2));
    browser.open(&page, 1280, "light");
    browser.evaluate("document.getElementById('scheme').click()");
    browser.evaluate("dispatchEvent(new Event('beforeprint'))");
    browser.call("Emulation.setEmulatedMedia", json!({ "media": "print" }));
    assert_eq!(browser.evaluate("getComputedStyle(document.body).color"), "rgb(27, 31, 38)");
    assert_eq!(browser.evaluate("document.querySelectorAll('details:not([open])').length"), 0);
    let paper = browser.call("Page.printToPDF", json!({}));
    assert!(paper["data"].as_str().unwrap().len() > 10_000);
}

#[test]
fn a_script_in_a_record_does_not_run() {
    let Some(mut browser) = Chromium::start() else { return };
    let mut record = made(20, 2);
    record.header.host = "<img src=x onerror='window.injected = 1'>".to_owned();
    for end in &mut record.partitions {
        end.partition.key = "</title></script><script>window.injected = 1</script>".to_owned();
    }
    let (_sandbox, page) = page(record);
    browser.open(&page, 1280, "light");
    assert_eq!(browser.evaluate("typeof window.injected"), "undefined");
    is_quiet(&browser, &page);
}
