//! `rollfit analyze`: each figure that it prints or writes is the record's, whatever a record holds stays text, and a
//! record that cannot be read is told with what to do.

use std::collections::BTreeMap;
use std::fs;

use rollfit_job::record::Record;
use rollfit_testkit::record::{lines, made};
use serde_json::Value;

use crate::sandbox::Sandbox;

const HTML_BYTES_MAX: usize = 1_000_000;

/// A sandbox with one record.
fn with(record: Record) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.keep(record);
    sandbox
}

fn html(sandbox: &Sandbox) -> String {
    sandbox.run(&["analyze", "--html", "page.html"]).exits(0).says(&["wrote page.html"]);
    fs::read_to_string(sandbox.path("page.html")).unwrap()
}

/// Text on one line with single spaces.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn near(figure: &Value, wanted: f64) {
    let figure = figure.as_f64().unwrap();
    assert!((figure - wanted).abs() <= wanted.abs() * 1e-9, "{figure} is not {wanted}");
}

#[test]
fn the_figures_of_the_json_are_sums_of_the_records() {
    let record = made(200, 4);
    let analysis = with(record.clone()).run(&["analyze", "--json"]).exits(0).json();
    let ends = &record.partitions;
    let took_s = record.end.as_ref().unwrap().at_ms as f64 / 1000.0;
    let rows: u64 = ends.iter().map(|end| end.rows).sum();
    let bytes: u64 = ends.iter().map(|end| end.bytes).sum();
    assert_eq!(analysis["run"]["totals"]["rows"], rows);
    assert_eq!(analysis["run"]["totals"]["bytes"], bytes);
    near(&analysis["run"]["took_s"], took_s);
    near(&analysis["run"]["rows_per_s"], rows as f64 / took_s);

    let mut wall_us: BTreeMap<String, u64> = BTreeMap::new();
    for end in ends {
        let times = serde_json::to_value(end.wall_us).unwrap();
        for (activity, us) in times.as_object().unwrap() {
            *wall_us.entry(activity.clone()).or_default() += us.as_u64().unwrap();
        }
    }
    let told = analysis["activities"].as_array().unwrap();
    for (activity, us) in &wall_us {
        let line = told.iter().find(|line| line["activity"] == activity.as_str()).unwrap();
        near(&line["wall_s"], *us as f64 / 1e6);
    }
    let lanes = analysis["lanes"].as_array().unwrap();
    assert_eq!(lanes.len(), ends.len());
    assert_eq!(lanes.iter().map(|slice| slice["rows"].as_u64().unwrap()).sum::<u64>(), rows);
    let longest_ms = ends.iter().map(|end| end.at_ms - end.begun_ms).max().unwrap();
    near(&analysis["slowest"][0]["took_s"], longest_ms as f64 / 1000.0);
}

#[test]
fn a_terminal_is_told_the_finding_first_in_lines_of_at_most_a_hundred_columns() {
    let sandbox = with(made(200, 2));
    let told = sandbox.run(&["analyze"]).exits(0).says(&["run.workers", "rollfit.toml, line 31"]);
    assert!(joined(&told.stdout).starts_with("FINDING Fewer workers than would pay: "), "{told}");
    let analysis = sandbox.run(&["analyze", "--json"]).exits(0).json();
    assert_eq!(
        (&analysis["finding"]["kind"], &analysis["finding"]["cause"]),
        (&"limited".into(), &"workers".into())
    );
    let command = |line: &str| line.contains("--config");
    let wide = told.stdout.lines().find(|line| line.chars().count() > 100 && !command(line));
    assert_eq!(wide, None);
}

#[test]
fn the_page_holds_the_analysis_and_its_lanes_every_partition() {
    let sandbox = with(made(200, 4));
    let page = html(&sandbox);
    let (_, data) = page.split_once(r#"<script type="application/json" id="analysis">"#).unwrap();
    let data: Value = serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap();
    assert_eq!(data, sandbox.run(&["analyze", "--json"]).exits(0).json());
}

#[test]
fn a_page_of_ten_thousand_partitions_is_below_a_megabyte_and_leaves_none_out() {
    for workers in [1, 16] {
        let record = made(10_000, workers);
        let rows: u64 = record.partitions.iter().map(|end| end.rows).sum();
        let page = html(&with(record));
        assert!(page.len() < HTML_BYTES_MAX, "{workers}: {} bytes", page.len());
        let lanes = page.split_once(r#"<figure id="lanes">"#).unwrap().1.split_once("</figure>").unwrap().0;
        let titles = lanes.split("<title>").skip(1).map(|title| title.split_once("</title>").unwrap().0);
        let rows_of = |title: &str| {
            let before = title.split_once(" rows,").unwrap().0;
            before.rsplit(", ").next().unwrap().replace(',', "").parse::<u64>().unwrap()
        };
        assert_eq!(titles.map(rows_of).sum::<u64>(), rows);
    }
}

#[test]
fn a_page_refers_to_nothing_outside_itself() {
    let page = html(&with(made(200, 4)));
    for reference in ["http://", "https://", " src=", "url(", "@import", "<link rel=\"stylesheet\""] {
        assert!(!page.contains(reference), "{reference}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn what_a_record_holds_stays_text_wherever_it_is_shown() {
    const SCRIPT: &str = "</script><script>alert(1)</script>\u{1b}[2J|`";
    let mut record = made(20, 2);
    record.header.host = SCRIPT.to_owned();
    record.decisions[0].reason = SCRIPT.to_owned();
    for end in &mut record.partitions {
        end.partition.key = SCRIPT.to_owned();
    }
    let sandbox = with(record);
    assert_eq!(html(&sandbox).matches("<script").count(), 2, "its data and its own");
    let markdown = sandbox.run(&["analyze", "--markdown"]).exits(0).stdout;
    assert!(!markdown.contains("<script"), "{markdown}");
    let told = sandbox.run(&["analyze"]).exits(0).stdout;
    assert!(told.chars().all(|c| c == '\n' || !c.is_control()), "{told}");
    let json = sandbox.run(&["analyze", "--json"]).exits(0).json();
    assert_eq!(
        json["header"]["host"],
        SCRIPT.replace('\u{1b}', "\\u{1b}"),
        "a record's texts are printable once read"
    );
}

/// The cells of a table's line. A bar behind a backslash belongs to a cell.
fn cells(line: &str) -> usize {
    line.replace("\\\\", "").replace("\\|", "").matches('|').count() - 1
}

#[test]
fn every_table_of_the_markdown_has_as_many_cells_in_each_line_and_every_fold_ends() {
    let mut record = made(200, 4);
    record.partitions[0].partition.key = "a|b\\|c\nd".to_owned();
    let markdown = with(record).run(&["analyze", "--markdown"]).exits(0).stdout;
    let blocks: Vec<&str> = markdown.split("\n\n").filter(|block| block.starts_with('|')).collect();
    assert!(blocks.len() >= 5, "{markdown}");
    for block in blocks {
        let lines: Vec<&str> = block.lines().collect();
        assert!(lines[1].chars().all(|c| "|-: ".contains(c)), "{block}");
        assert!(lines.iter().all(|line| cells(line) == cells(lines[0])), "{block}");
    }
    assert_eq!(markdown.matches("<details>").count(), markdown.matches("</details>").count());
}

#[test]
fn an_earlier_run_of_the_same_job_is_held_against_this_one() {
    let sandbox = Sandbox::new();
    let mut runs = [made(200, 1), made(200, 2), made(200, 4)];
    for (hour, record) in runs.iter_mut().enumerate() {
        record.header.run = format!("20261122T1{hour}0000Z-1");
        record.header.started = format!("2026-11-22T1{hour}:00:00Z");
    }
    runs[1].header.job = "another".to_owned();
    runs.into_iter().for_each(|record| sandbox.keep(record));
    let estimate_from = |run: &str| {
        let analysis = sandbox.run(&["analyze", "--json", run]).exits(0).json();
        analysis["estimate_vs_observed"]["by_run"].as_str().map(str::to_owned)
    };
    assert_eq!(estimate_from("20261122T12"), Some("20261122T100000Z-1".to_owned()));
    assert_eq!(estimate_from("20261122T11"), None, "no run of its job is earlier");
    assert_eq!(estimate_from("20261122T10"), None);
}

#[test]
fn a_real_run_is_analysed_with_the_figures_of_its_summary_and_drawn_as_a_trace() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01", "2017-02"]);
    let summary = sandbox.run(&["run", "--json", "--only", "eurusd"]).exits(0).json();
    let analysis = sandbox.run(&["analyze", "--json", "--trace", "trace.json"]).exits(0).json();
    assert_eq!(analysis["header"]["options"], serde_json::json!(["--only", "eurusd"]));
    for figure in ["rows", "bytes", "written"] {
        assert_eq!(analysis["run"]["totals"][figure], summary[figure], "{figure}");
    }
    assert!(analysis["run"]["state"] == "finished");
    let trace: Value = serde_json::from_slice(&fs::read(sandbox.path("trace.json")).unwrap()).unwrap();
    let partitions =
        trace["traceEvents"].as_array().unwrap().iter().filter(|event| event["cat"] == "partition").count();
    assert_eq!(partitions, 2);
}

#[test]
fn a_run_that_was_killed_is_analysed_up_to_there() {
    let text = lines(made(50, 2));
    let sandbox = Sandbox::new();
    let broken_off = &text.as_bytes()[..text.len() * 9 / 10];
    sandbox.write("killed.jsonl", broken_off);
    let analysis = sandbox.run(&["analyze", "--json", "killed.jsonl"]).exits(0).json();
    assert_eq!(analysis["run"]["state"], "unfinished");
    let header = text.lines().next().unwrap().to_owned() + "\n";
    sandbox.write("begun.jsonl", header);
    for form in [&["analyze", "begun.jsonl"][..], &["analyze", "begun.jsonl", "--markdown"]] {
        sandbox.run(form).exits(0).says(&["The run was killed after 0 s, with 0 of 50 partitions done"]);
    }
}

#[test]
fn a_run_in_progress_is_told_with_the_command_that_continues_it_and_a_killed_one_without_a_signal() {
    let mut record = made(200, 1);
    record.end = None;
    record.partitions.truncate(100);
    record.samples.retain(|sample| sample.totals.ended <= 100);
    record.header.pid = std::process::id();
    record.header.options = Some(vec!["--only".to_owned(), "eurusd".to_owned()]);
    let sandbox = with(record.clone());
    let path = sandbox.path(format!("state/runs/{}.jsonl", record.header.run));
    let writer = fs::File::open(path).unwrap();
    writer.lock().unwrap();
    let told = joined(&sandbox.run(&["analyze"]).exits(0).stdout.replace("\\\n", " "));
    let signal = format!("now kill -INT {}; ROLLFIT_RUN__WORKERS=", std::process::id());
    assert!(told.contains(&signal), "{told}");
    assert!(told.contains("rollfit run --config /srv/fx/rollfit.toml --only eurusd continues at"), "{told}");
    drop(writer);
    let told = joined(&sandbox.run(&["analyze"]).exits(0).stdout);
    assert!(!told.contains("kill -INT") && told.starts_with("FINDING The run was killed after "), "{told}");
}

#[test]
fn with_a_configuration_its_newest_run_is_analyzed() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    fs::copy(sandbox.path("rollfit.toml"), sandbox.path("other.toml")).unwrap();
    sandbox.run(&["run"]).exits(0);
    sandbox.run(&["run", "--force", "--config", "other.toml"]).exits(0);
    for name in ["rollfit.toml", "other.toml"] {
        let analysis = sandbox.run(&["analyze", "--json", "--config", name]).exits(0).json();
        assert!(analysis["header"]["config"].as_str().unwrap().ends_with(&format!("/{name}")), "{analysis}");
    }
    sandbox
        .run(&["analyze", "--config", "none.toml"])
        .exits(2)
        .says(&["found no record of a run of none.toml"]);
}

#[test]
fn a_record_that_cannot_be_read_is_told_with_what_is_wrong() {
    let sandbox = Sandbox::new();
    sandbox.run(&["analyze"]).exits(2).says(&["found no record of a run in", "state/runs"]);
    sandbox.run(&["analyze", "2026"]).exits(2).says(&["found no file and no run called `2026`"]);
    sandbox.run(&["analyze", "./gone.jsonl"]).exits(1).says(&["gone.jsonl", "cannot be read"]);
    let bad = |text: &str, says: &[&str]| {
        sandbox.write("bad.jsonl", text);
        sandbox.run(&["analyze", "bad.jsonl"]).exits(1).says(&["bad.jsonl"]).says(says);
    };
    let whole = lines(made(3, 1));
    bad("", &["is not a run record of rollfit"]);
    bad(&whole[..100], &["is not a run record of rollfit"]);
    bad(&whole.replacen("\"format\":4", "\"format\":99", 1), &["format 99", "use that version"]);
    bad(&whole.replacen("\"format\":4", "\"format\":1", 1), &["format 1, this version reads formats 2 to 4"]);
    sandbox.write("earlier.jsonl", whole.replacen("\"format\":4", "\"format\":2", 1));
    sandbox.run(&["analyze", "earlier.jsonl"]).exits(0);
    bad(&(whole + "{\"event\":\"retry\"}\n"), &["is invalid, the record is damaged"]);
}

#[test]
fn a_page_replaces_a_file_whole_or_leaves_it() {
    let sandbox = with(made(20, 2));
    sandbox.write("page.html", "old");
    assert!(html(&sandbox).ends_with("</html>"));
    sandbox.run(&["analyze", "--html", "none/page.html"]).exits(2).says(&["--html", "none/page.html"]);
    fs::create_dir(sandbox.path("dir")).unwrap();
    sandbox.run(&["analyze", "--html", "dir"]).exits(2).says(&["--html", "dir"]);
    sandbox.run(&["analyze", "--trace", "none/trace.json"]).exits(2).says(&["--trace", "none/trace.json"]);
    let left: Vec<_> = fs::read_dir(sandbox.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "page, state and dir: {left:?}");
}

#[test]
fn what_cannot_be_asked_for_together_is_a_usage_error() {
    let sandbox = with(made(3, 1));
    sandbox.run(&["analyze", "--json", "--markdown"]).exits(2).says(&["cannot be used with"]);
}
