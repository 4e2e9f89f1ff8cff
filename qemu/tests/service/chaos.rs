//! Something goes wrong under load: how it is noticed, how long it takes, what it costs.

use super::container::Container;
use super::harness::steady::{Load, Tally};
use serde_json::Value;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The guest that things happen to.
pub const NAME: &str = "www";

/// Its configuration; scenarios add to it.
pub const CONFIGURATION: &str = "listen = \"127.0.0.1:8080\"\n\
    accelerator = \"tcg\"\n\
    append = \"provoke=console\"\n\
    site = \"/srv/site\"\n\
    [restart]\nstarts = 50\nwithin = 4\n\
    [stop]\ndrain = 6\n";

/// What may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// No request.
    None,
    /// Those that were under way: at most one for each client.
    UnderWay,
}

/// Something that goes wrong.
pub struct Scenario {
    pub name: &'static str,
    /// Run by `make test` too.
    pub quick: bool,
    /// What is done.
    pub act: fn(&Container),
    /// The states of the journal, one of which tells that it was noticed; none if nothing is to be.
    pub noticed: &'static [&'static str],
    /// What the verdict of the autopsy holds, if there is one.
    pub verdict: Option<&'static str>,
    pub loss: Loss,
    /// Whether the guest is another one afterwards.
    pub replaced: bool,
    /// What else must hold afterwards.
    pub check: fn(&Container, &Value, &Value),
}

/// A row of the table.
pub struct Row {
    name: &'static str,
    noticed: Option<(String, f64)>,
    verdict: Option<String>,
    tally: Tally,
}

/// Plays a scenario.
pub fn play(container: &Container, scenario: &Scenario) -> Row {
    prepare(container);
    let before = container.healthy(NAME);
    let load = Load::start(SocketAddr::from(([127, 0, 0, 1], 8080)));
    let warm = load.answered();
    thread::sleep(Duration::from_secs(1));
    assert!(load.answered() > warm, "no load");

    let began = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    (scenario.act)(container);
    let after = settled(container, &before, scenario.replaced);
    let so_far = load.answered();
    thread::sleep(Duration::from_secs(1));
    assert!(
        load.answered() > so_far,
        "no request is answered afterwards"
    );
    let tally = load.stop();

    let news = news(container, began);
    let noticed = news
        .iter()
        .find(|(_, state, _)| scenario.noticed.contains(&state.as_str()))
        .map(|(at, state, _)| (state.clone(), at - began));
    let verdict = news
        .iter()
        .find(|(_, state, _)| state == "examined")
        .map(|(_, _, reason)| verdict(reason));
    println!(
        "    {} answered, gap {:?}, slowest {:?}, failed {:?}, noticed {noticed:?}, {verdict:?}",
        tally.answered, tally.gap, tally.slowest, tally.failures
    );
    assert_eq!(noticed.is_some(), !scenario.noticed.is_empty(), "{news:?}");
    if let Some((state, seconds)) = &noticed {
        // The contract: a wedge is noticed within 5 s. Twice that on a machine that is busy.
        assert!(*seconds < 10.0, "{state} after {seconds} s");
    }
    match (scenario.verdict, &verdict) {
        (Some(wanted), Some(told)) => assert!(told.contains(wanted), "{told}"),
        (Some(wanted), None) => panic!("no autopsy says {wanted}: {news:?}"),
        (None, _) => {}
    }
    let most = match scenario.loss {
        Loss::None => 0,
        Loss::UnderWay => 6,
    };
    assert!(tally.failures.len() <= most, "{:?}", tally.failures);
    (scenario.check)(container, &before, &after);
    Row {
        name: scenario.name,
        noticed,
        verdict,
        tally,
    }
}

/// The guest as each scenario finds it: running, by the usual configuration.
fn prepare(container: &Container) {
    container
        .ok("mkdir -p /srv/site && echo one > /srv/site/index.html && chmod -R a+rX /srv/site");
    container.ok("rm -rf /etc/systemd/system/quartz@www.service.d");
    container.configure(NAME, CONFIGURATION);
    container.ok("systemctl reset-failed && systemctl start quartz@www");
    container.healthy(NAME);
    // Back to the usual site, if the last scenario left another.
    container.ok("systemctl reload quartz@www");
}

/// Waits until everything is well again, with another guest or the same.
fn settled(container: &Container, before: &Value, replaced: bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let status = container.status(NAME);
        let other = status["guest"]["pid"] != before["guest"]["pid"];
        if status["state"] == "healthy"
            && other == replaced
            && status["leaving"] == 0
            && status["dead"] == "every part answers"
        {
            return status;
        }
        assert!(
            Instant::now() < deadline,
            "it does not get well: {status:#}"
        );
        thread::sleep(Duration::from_millis(200));
    }
}

/// What the journal tells since then: when, state, reason.
fn news(container: &Container, since: f64) -> Vec<(f64, String, String)> {
    let text = container.ok(
        "journalctl --no-pager -o json --output-fields=QUARTZ_STATE,QUARTZ_REASON QUARTZ_NAME=www -n 60",
    );
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|entry| {
            let at: f64 = entry["__REALTIME_TIMESTAMP"].as_str()?.parse().ok()?;
            let text = |key: &str| entry[key].as_str().unwrap_or("").to_owned();
            Some((at / 1e6, text("QUARTZ_STATE"), text("QUARTZ_REASON")))
        })
        .filter(|(at, ..)| *at >= since)
        .collect()
}

/// The verdict alone.
fn verdict(reason: &str) -> String {
    let text = reason.strip_prefix("verdict: ").unwrap_or(reason);
    let text = text.rsplit_once(" (/var").map_or(text, |(text, _)| text);
    text.to_owned()
}

/// The table, as docs/operations.md has it.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| what happens | noticed by | after | the autopsy says | longest time without an answer | requests: answered, failed |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        let (state, after) = match &row.noticed {
            Some((state, seconds)) => (state.as_str(), format!("{seconds:.1} s")),
            None => ("–", "–".into()),
        };
        let verdict = row.verdict.as_deref().unwrap_or("–");
        // Without the explanation.
        let verdict = verdict.split([';', '(']).next().unwrap_or(verdict);
        let parts: Vec<&str> = verdict.trim().splitn(3, ": ").take(2).collect();
        let verdict = parts.join(": ");
        text += &format!(
            "| {} | {state} | {after} | {verdict} | {:.1} s | {}, {} |\n",
            row.name,
            row.tally.gap.as_secs_f64(),
            row.tally.answered,
            row.tally.failures.len(),
        );
    }
    text
}
