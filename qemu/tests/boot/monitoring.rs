//! What `examples/monitoring` has for Prometheus and Grafana, against the figures of a real guest and
//! of a supervisor: a name or a label that is not there is a panel that stays empty, and an alert that
//! never comes.

use crate::harness::exposition::{Exposition, check, check_metrics};
use crate::harness::guest::ADDRESS;
use crate::harness::network::{boot_on_tap, in_namespace};
use crate::harness::{light, soon};
use quartz::http;
use quartz::supervise::metrics::Metrics;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Labels that Prometheus adds.
const ADDED: [&str; 2] = ["job", "instance"];
/// A name that is Prometheus' own.
const OWN: &str = "up";

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/monitoring")
        .join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(example(name)).unwrap()
}

/// The expressions of the rules.
fn of_rules() -> Vec<String> {
    let text = read("rules.yml");
    let lines = text.lines().map(str::trim);
    let found = lines.filter_map(|line| line.strip_prefix("expr: "));
    found.map(str::to_owned).collect()
}

/// The expressions of the dashboard, with a value for each variable of Grafana's.
fn of_dashboard() -> Vec<String> {
    fn go(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match value.as_str() {
                        Some(text) if key == "expr" => found.push(text.to_owned()),
                        _ => go(value, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| go(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    go(
        &serde_json::from_str(&read("dashboard.json")).unwrap(),
        &mut found,
    );
    let plain = |text: &String| {
        text.replace("$__rate_interval", "1m")
            .replace("$job", ".*")
            .replace("$instance", ".*")
    };
    found.iter().map(plain).collect()
}

/// The selectors of an expression: a name, and what stands between braces behind it.
fn selectors(expression: &str) -> Vec<(String, Vec<Matcher>)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find("quartz_") {
        let end = rest[at..].find(|c| !is_word(c));
        let end = end.map_or(rest.len(), |end| at + end);
        let name = rest[at..end].to_owned();
        rest = &rest[end..];
        let mut matchers = Vec::new();
        if let Some(inside) = rest.strip_prefix('{') {
            let (inside, behind) = inside.split_once('}').unwrap();
            matchers = inside.split(',').map(Matcher::parse).collect();
            rest = behind;
        }
        found.push((name, matchers));
    }
    found
}

/// `label="value"`, `label=~"one|another"`, and their opposites.
struct Matcher {
    label: String,
    values: Vec<String>,
}

impl Matcher {
    fn parse(text: &str) -> Matcher {
        let (label, value) = text.split_once(['=', '!']).unwrap();
        let value = value.trim_start_matches(['=', '~']).trim_matches('"');
        Matcher {
            label: label.trim().to_owned(),
            values: value.split('|').map(str::to_owned).collect(),
        }
    }
}

/// What is wrong with an expression.
fn complaints(expression: &str, page: &Exposition) -> Vec<String> {
    let mut wrong = Vec::new();
    let selectors = selectors(expression);
    if selectors.is_empty() && !expression.starts_with(OWN) {
        wrong.push(format!("{expression}: no metric of Quartz"));
    }
    for (name, matchers) in selectors {
        let series: Vec<_> = page.samples.keys().filter(|s| s.name == name).collect();
        if series.is_empty() {
            wrong.push(format!("{expression}: there is no {name}"));
        }
        for Matcher { label, values } in matchers {
            for value in values {
                let has = series.iter().any(|s| s.labels.get(&label) == Some(&value));
                if !has && !ADDED.contains(&label.as_str()) {
                    wrong.push(format!("{expression}: no {name} has {label}={value}"));
                }
            }
        }
    }
    wrong
}

/// The labels that a legend shows or rules group and join by, in a text.
fn labels(text: &str) -> BTreeSet<String> {
    let legend = text.split("{{").skip(1).filter_map(|rest| {
        let name = rest.split("}}").next()?.trim();
        Some(name.trim_start_matches("$labels.").to_owned())
    });
    let lists = ["by (", "on (", "without ("];
    let grouped = lists.iter().flat_map(|list| {
        let inside = text.split(list).skip(1);
        inside.flat_map(|rest| rest.split(')').next().unwrap_or("").split(','))
    });
    legend
        .chain(grouped.map(|name| name.trim().to_owned()))
        .collect()
}

#[test]
fn the_monitoring_examples_name_what_a_real_guest_has() {
    let _light = light();
    in_namespace(|| {
        let served = boot_on_tap(|_| {});
        let admin = SocketAddr::from((ADDRESS, 9100));
        let answer = http::get(admin, "/metrics", soon()).unwrap();
        let guest = String::from_utf8(answer.body).unwrap();
        served.stop();
        // As the address `metrics` of a service has them.
        let both = Metrics::default().text("www", true) + &guest;
        check_metrics(both.as_bytes());
        let page = Exposition::parse(&both);

        let (rules, panels) = (of_rules(), of_dashboard());
        assert!(rules.len() >= 10 && panels.len() >= 30);
        let all = rules.iter().chain(&panels);
        let wrong: Vec<String> = all.flat_map(|text| complaints(text, &page)).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));

        let known: BTreeSet<&str> = page
            .samples
            .keys()
            .flat_map(|series| series.labels.keys().map(String::as_str))
            .chain(ADDED)
            .chain(["value", "$value"])
            .collect();
        for name in ["rules.yml", "dashboard.json"] {
            for label in labels(&read(name)) {
                assert!(known.contains(label.as_str()), "{name}: no label {label}");
            }
        }

        // The page about it names nothing else, and every family.
        let told = fs::read_to_string(example("../../docs/monitoring.md")).unwrap();
        let names: BTreeSet<String> = selectors(&told).into_iter().map(|(name, _)| name).collect();
        let there: BTreeSet<String> = page.families.into_keys().collect();
        assert_eq!(names, there, "docs/monitoring.md (left) against /metrics");
    });
}

#[test]
fn the_monitoring_examples_are_what_prometheus_takes() {
    check(&[
        "check",
        "config",
        example("prometheus.yml").to_str().unwrap(),
    ]);
    check(&["check", "rules", example("rules.yml").to_str().unwrap()]);
    check(&["test", "rules", example("rules.test.yml").to_str().unwrap()]);
    // What the panels ask, as rules: promtool reads no dashboards.
    let mut rules = String::from("groups:\n  - name: panels\n    rules:\n");
    for (number, expression) in of_dashboard().iter().enumerate() {
        writeln!(
            rules,
            "      - record: panel:{number}\n        expr: '{expression}'"
        )
        .unwrap();
    }
    let file = tempfile::Builder::new().suffix(".yml").tempfile().unwrap();
    fs::write(file.path(), rules).unwrap();
    check(&["check", "rules", file.path().to_str().unwrap()]);
}

#[test]
fn an_expression_without_its_metric_is_found() {
    let page = Exposition::parse("# TYPE quartz_a gauge\nquartz_a{queue=\"rx\"} 1\n");
    let wrong = |text: &str| complaints(text, &page).len();
    assert_eq!(wrong("rate(quartz_a{queue=\"rx\",job=~\".*\"}[1m]) > 0"), 0);
    assert_eq!(wrong("quartz_a{queue=~\"rx|tx\"}"), 1);
    assert_eq!(wrong("quartz_a + quartz_b{queue=\"rx\"}"), 2);
    assert_eq!(wrong("quartz_a{que!=\"rx\"}"), 1);
    assert_eq!(wrong("node_load1"), 1);
    assert_eq!(wrong("up == 0"), 0);
}
