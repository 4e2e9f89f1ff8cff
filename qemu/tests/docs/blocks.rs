//! Blocks of code are what they say: TOML and JSON parse, configurations and a site's rules are taken
//! by what reads them, shell lines are shell, Rust compiles.

use crate::page::{Block, Page, pages, tell};
use crate::{root, succeeds, text};
use quartz::supervise::config::Config;
use quartz_abi::site::{HeaderRules, Redirects};
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What is wrong with a block, or nothing.
fn judge(block: &Block) -> Result<(), String> {
    let text = &block.text;
    match block.language() {
        "toml" if text.lines().any(|line| line.starts_with("listen =")) => {
            Config::parse(text).map(drop)
        }
        "toml" => text
            .parse::<toml::Table>()
            .map(drop)
            .map_err(|e| e.to_string()),
        "json" => serde_json::from_str::<serde_json::Value>(text)
            .map(drop)
            .map_err(|e| e.to_string()),
        "sh" | "bash" => shell(text),
        "caddyfile" => caddy(text),
        "nginx" => nginx(text),
        _ if text.starts_with("# _headers") => HeaderRules::parse(text.as_bytes())
            .map(drop)
            .map_err(|e| e.to_string()),
        _ if text.starts_with("# _redirects") => Redirects::parse(text.as_bytes())
            .map(drop)
            .map_err(|e| e.to_string()),
        _ => Ok(()),
    }
}

/// Whether bash can read it; nothing is run.
fn shell(script: &str) -> Result<(), String> {
    let mut bash = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = bash.stdin.take().unwrap();
    input.write_all(script.as_bytes()).unwrap();
    drop(input);
    let output = bash.wait_with_output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(text(&output.stderr)),
    }
}

/// A program that the set-up installs, or unpacks below `target`.
fn program(installed: &str, unpacked: &str) -> PathBuf {
    let places = [
        PathBuf::from(installed),
        root().join("target").join(unpacked),
    ];
    let found = places.into_iter().find(|place| place.exists());
    found.unwrap_or_else(|| panic!("{unpacked} is missing: run `qemu/setup.sh test` first"))
}

/// Whether Caddy takes it as its configuration.
fn caddy(text: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Caddyfile");
    fs::write(&file, text).unwrap();
    let mut caddy = Command::new(program("/usr/bin/caddy", "caddy/usr/bin/caddy"));
    caddy.args(["validate", "--adapter", "caddyfile", "--config"]);
    caddy.arg(&file);
    for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "HOME"] {
        caddy.env(name, folder.path());
    }
    taken(&mut caddy)
}

/// Whether nginx takes it as what stands in `http`.
fn nginx(text: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().display();
    let mut whole =
        format!("pid {here}/pid; error_log stderr; events {{}} http {{ access_log off;\n");
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        whole += &format!("{kind}_temp_path {here}/{kind};\n");
    }
    // nginx tries the ports, which may be others' or root's.
    let text = text.replace("listen 80;", &format!("listen unix:{here}/socket;"));
    let file = folder.path().join("nginx.conf");
    fs::write(&file, format!("{whole}{text}}}\n")).unwrap();
    let mut nginx = Command::new(program("/usr/sbin/nginx", "nginx/usr/sbin/nginx"));
    nginx.args(["-t", "-q", "-e", "stderr", "-c"]).arg(&file);
    taken(&mut nginx)
}

/// Whether a command takes its file, or what it says of it.
fn taken(command: &mut Command) -> Result<(), String> {
    let output = command.output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(text(&output.stderr)),
    }
}

fn wrong(page: &Page) -> Vec<String> {
    let judged = page.blocks.iter().filter_map(|block| {
        let what = judge(block).err()?;
        Some(format!("{}: {}", page.at(block.line), what.trim_end()))
    });
    judged.collect()
}

#[test]
fn every_block_is_what_it_says() {
    let all = pages();
    let complaints: Vec<String> = all.iter().flat_map(wrong).collect();
    tell(
        &complaints,
        "The language behind the fence says how the block is read; without one it is not.",
    );
}

#[test]
fn a_block_that_is_something_else_is_found() {
    let text = "```toml\nlisten = \"0.0.0.0:1\"\nsight = 1\n```\n```json\n{]\n```\n```sh\nif true\n```\n\
        ```caddyfile\na {\n reverse_prox b\n}\n```\n```nginx\nserver { listen 80; proxy_pas x; }\n```\n\
        ```nginx\nserver { listen 80; }\n```\n```toml\na = 1\n```\n```\n# _redirects\n/a\n```\n```\nanything\n```\n";
    let found = wrong(&Page::parse("x.md".into(), text));
    assert_eq!(found.len(), 6, "{found:#?}");
    assert!(found[0].starts_with("x.md:1: ") && found[0].contains("sight"));
}

/// The program of docs/applications.md, as its reader lays it out, beside a checkout of Quartz.
#[test]
fn the_program_of_the_documentation_compiles() {
    let all = pages();
    let page = all
        .iter()
        .find(|page| page.path.ends_with("applications.md"));
    let page = page.expect("docs/applications.md explains how to write a program");
    let top = root().canonicalize().unwrap();
    // The same place each time, so that what was built is found again.
    let folder = top.join("target/docs");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    symlink(&top, folder.join("quartz")).unwrap();
    let own = folder.join("hello");
    fs::create_dir_all(own.join("src")).unwrap();
    let mut files = 0;
    for name in ["Cargo.toml", "build.rs", "src/main.rs"] {
        let block = page.blocks.iter().find(|b| b.name.as_deref() == Some(name));
        let block = block.unwrap_or_else(|| {
            panic!("docs/applications.md shows no `{name}`: the block behind that name")
        });
        let mut text = block.text.clone();
        if name == "Cargo.toml" {
            // Here alone it lies inside of Quartz.
            text += "\n[workspace]\n";
        }
        fs::write(own.join(name), text).unwrap();
        files += 1;
    }
    assert_eq!(files, 3);
    // The crates that this checkout was built with.
    fs::copy(root().join("Cargo.lock"), own.join("Cargo.lock")).unwrap();
    let build = page.blocks.iter().find(|b| b.text.contains("cargo build"));
    let build = build.expect("docs/applications.md has the command that builds the program");
    // Types and lints are the program's; code generation and linking are the example's.
    let check = build.text.replace("cargo build", "cargo check --offline");
    let mut command = Command::new("bash");
    command.args(["-euc", &check]).current_dir(&own);
    // What was built for the kernel's lints is not built again.
    command.env("CARGO_TARGET_DIR", top.join("target"));
    succeeds(&mut command);
}
