//! The examples for Nomad and Kubernetes, as far as they run without either: what the files say is
//! started as those engines would start it.

use crate::harness::process::Process;
use crate::harness::{STEP, kernel, light, soon, target, wait_until};
use hcl::expr::TemplateExpr;
use hcl::{Body, Expression};
use quartz::{http, port};
use rustix::process::Signal;
use serde_yaml_ng::Value;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the examples.
fn example(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/fleet");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// A site's image in a folder.
fn image(folder: &Path) -> PathBuf {
    let site = folder.join("site");
    fs::create_dir_all(&site).unwrap();
    fs::write(site.join("index.html"), "this is a page\n").unwrap();
    let image = folder.join("site.tar");
    let mut pack = Command::new(env!("CARGO_BIN_EXE_quartz"));
    pack.arg("pack").arg(&site).arg("-o").arg(&image);
    let packed = crate::harness::process::run(&mut pack, STEP);
    assert!(packed.status.success(), "{packed:?}");
    image
}

fn serves(at: SocketAddr) {
    wait_until("the page is served", || {
        http::get(at, "/", soon()).is_ok_and(|answer| answer.body == b"this is a page\n")
    });
}

/// The blocks with this name right in a body.
fn blocks<'a>(body: &'a Body, name: &str) -> Vec<&'a Body> {
    let named = body.blocks().filter(|block| block.identifier() == name);
    named.map(|block| block.body()).collect()
}

/// The only block with this name.
fn block<'a>(body: &'a Body, name: &str) -> &'a Body {
    let all = blocks(body, name);
    assert_eq!(all.len(), 1, "{name} in {body:?}");
    all[0]
}

/// A value as it is written, without its quotes.
fn text(value: &Expression) -> String {
    match value {
        Expression::String(text) => text.clone(),
        Expression::TemplateExpr(template) => match &**template {
            TemplateExpr::QuotedString(text) => text.clone(),
            TemplateExpr::Heredoc(other) => panic!("a heredoc: {other:?}"),
        },
        Expression::Number(number) => number.to_string(),
        other => panic!("neither text nor number: {other:?}"),
    }
}

fn attribute<'a>(body: &'a Body, name: &str) -> &'a Expression {
    let found = body.attributes().find(|attribute| attribute.key() == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {body:?}"))
        .expr()
}

/// What the driver takes in its `config` (Nomad, "QEMU driver", task configuration).
const CONFIG: [&str; 7] = [
    "image_path",
    "drive_interface",
    "accelerator",
    "graceful_shutdown",
    "guest_agent",
    "args",
    "port_map",
];

#[test]
fn the_job_for_nomad_starts_a_guest_that_serves() {
    let _light = light();
    let file = hcl::parse(&example("quartz.nomad.hcl")).unwrap();
    let group = block(block(&file, "job"), "group");
    let task = block(group, "task");
    assert_eq!(text(attribute(task, "driver")), "qemu");
    let memory = text(attribute(block(task, "resources"), "memory"));
    // The driver refuses less.
    assert!(memory.parse::<u64>().unwrap() >= 128);
    let config = block(task, "config");
    for attribute in config.attributes() {
        assert!(CONFIG.contains(&attribute.key()), "{}", attribute.key());
    }
    // What it fetches, where it fetches it to.
    let folder = tempfile::tempdir().unwrap();
    for artifact in blocks(task, "artifact") {
        let source = text(attribute(artifact, "source"));
        let to = folder.path().join(text(attribute(artifact, "destination")));
        fs::create_dir_all(&to).unwrap();
        match source.strip_prefix("${var.base}/") {
            Some("quartz-unikernel.elf") => {
                fs::copy(kernel(), to.join("quartz-unikernel.elf")).unwrap();
            }
            Some("site.tar") => {
                fs::copy(image(folder.path()), to.join("site.tar")).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }

    // The words that the driver gives QEMU (Nomad, drivers/qemu), by TCG.
    let port = port::free(0).unwrap();
    let Expression::Array(words) = attribute(config, "args") else {
        panic!("args are no list");
    };
    let words = words.iter().map(|word| {
        text(word)
            .replace("${NOMAD_IP_http}", "127.0.0.1")
            .replace("${NOMAD_PORT_http}", &port.to_string())
    });
    let mut qemu = Command::new(quartz::program::QEMU);
    qemu.current_dir(folder.path())
        .args(["-machine", "type=pc,accel=tcg", "-name", "site.tar"])
        .args(["-m", &format!("{memory}M"), "-drive"])
        .arg(format!(
            "file={},if={}",
            text(attribute(config, "image_path")),
            text(attribute(config, "drive_interface"))
        ))
        .arg("-nographic")
        .args(words);
    let running = Process::start(&mut qemu);
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    serves(at);
    let check = block(block(group, "service"), "check");
    let path = text(attribute(check, "path"));
    assert_eq!(http::get(at, &path, soon()).unwrap().status, 200);
    running.signal(Signal::INT);
    running.finish(STEP);
}

#[test]
fn the_pod_for_kubernetes_serves_and_drains() {
    let _light = light();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let port = port::free(0).unwrap();
    // Its port and its site are not those of this machine.
    let manifest = example("kubernetes.yaml")
        .replace("8080", &port.to_string())
        .replace("/srv/site.tar", image(folder.path()).to_str().unwrap());
    let documents: Vec<Value> = serde_yaml_ng::Deserializer::from_str(&manifest)
        .map(|document| serde::Deserialize::deserialize(document).unwrap())
        .collect();
    let kind = |kind: &str| {
        let found = documents.iter().find(|document| document["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind}"))
    };
    let pod = &kind("Deployment")["spec"]["template"];
    assert_eq!(
        kind("Service")["spec"]["selector"],
        pod["metadata"]["labels"]
    );
    let containers = pod["spec"]["containers"].as_sequence().unwrap();
    let container = |name: &str| {
        let found = containers.iter().find(|one| one["name"] == name);
        found.unwrap_or_else(|| panic!("no container {name}"))
    };

    // The volumes, below a root of the test's own, and the file in one of them.
    for container in containers {
        for mount in container["volumeMounts"].as_sequence().unwrap() {
            let path = mount["mountPath"].as_str().unwrap();
            fs::create_dir_all(root.join(&path[1..])).unwrap();
        }
    }
    let file = kind("ConfigMap")["data"]["www.toml"].as_str().unwrap();
    // What a node's KVM would do here.
    let file = format!("{file}accelerator = \"tcg\"\nkernel = {:?}\n", kernel());
    fs::write(root.join("etc/quartz/www.toml"), file).unwrap();

    let start = |name: &str| {
        let words = container(name)["args"].as_sequence().unwrap().iter();
        let words = words.map(|word| {
            let word = word.as_str().unwrap();
            match word.strip_prefix("/run/") {
                Some(rest) => root.join("run").join(rest).display().to_string(),
                None => word.replace("0.0.0.0", "127.0.0.1"),
            }
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_quartz"));
        Process::start(command.args(words).env("QUARTZ_ROOT", &root))
    };
    let guest = start("guest");
    let forward = start("forward");
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    serves(at);
    let probe = &container("forward")["readinessProbe"]["httpGet"];
    let path = probe["path"].as_str().unwrap();
    assert_eq!(http::get(at, path, soon()).unwrap().status, 200);

    // When the Pod goes, the guest drains, and then the forwarder goes.
    guest.signal(Signal::TERM);
    let ended = guest.finish(STEP);
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.stderr.contains("it ended as asked"), "{ended:?}");
    forward.signal(Signal::TERM);
    forward.finish(STEP);
    // What its image is made of is what the build leaves.
    let recipe = example("Containerfile");
    let copied = recipe.lines().filter_map(|line| line.strip_prefix("COPY "));
    let parts = copied.flat_map(|words| words.split(' '));
    let kernels: Vec<&str> = parts
        .filter_map(|word| word.strip_prefix("target/quartz-"))
        .collect();
    assert_eq!(kernels.len(), 2, "{recipe}");
    for name in kernels {
        assert!(target(&format!("quartz-{name}")).exists(), "{name}");
    }
}
