//! nginx beside the guest: the same site, the same limits. It checks the table, not the guest.

use crate::harness::process::Process;
use crate::harness::{target, wait_until};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A running nginx.
pub struct Nginx {
    _process: Process,
    pub address: SocketAddr,
}

/// Debian's nginx: installed, or unpacked by the set-up.
fn program() -> PathBuf {
    let places = [
        PathBuf::from("/usr/sbin/nginx"),
        target("nginx/usr/sbin/nginx"),
    ];
    let found = places.into_iter().find(|place| place.exists());
    found.expect("nginx is missing: run `qemu/setup.sh test` first")
}

/// Starts nginx for the files in `root`, with its own files in `work`.
pub fn start(root: &Path, work: &Path, port: u16) -> Nginx {
    let configuration = work.join("nginx.conf");
    fs::write(&configuration, text(root, work, port)).unwrap();
    let mut command = Command::new(program());
    command
        .arg("-p")
        .arg(work)
        .arg("-c")
        .arg(&configuration)
        .args(["-e", "stderr"]);
    let process = Process::start(&mut command);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    wait_until("nginx takes connections", || {
        TcpStream::connect(address).is_ok()
    });
    Nginx {
        _process: process,
        address,
    }
}

fn text(root: &Path, work: &Path, port: u16) -> String {
    let (root, work) = (root.display(), work.display());
    format!(
        "daemon off; master_process off; worker_processes 1; pid {work}/pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {work}/body; proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi; uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
    types {{
        text/html html; text/css css; text/plain txt; text/javascript js; application/json json;
        image/svg+xml svg; image/png png; application/wasm wasm;
    }}
    default_type application/octet-stream;
    charset utf-8;
    charset_types text/html text/css text/plain text/javascript application/json image/svg+xml;
    etag on; if_modified_since before; max_ranges 8;
    gzip_static on; gzip_vary on; gzip_proxied any;
    client_header_buffer_size 8k; large_client_header_buffers 1 8k; client_max_body_size 64k;
    client_header_timeout 15s; client_body_timeout 15s; keepalive_timeout 60s;
    absolute_redirect off; merge_slashes off;
    server {{
        listen 127.0.0.1:{port};
        root {root};
        error_page 404 /404.html;
        # What `_headers` and `_redirects` say (rules.rs).
        location /dir/ {{ add_header X-Dir yes; add_header Cache-Control \"public, max-age=60\"; }}
        location = \"/dir/a b.txt\" {{ add_header Cache-Control \"public, max-age=60\"; }}
        location = /data.json {{ types {{ }} default_type application/vnd.example+json; }}
        location = /_headers {{ return 404; }}
        location = /_redirects {{ return 404; }}
        location /old/ {{ rewrite ^/old/(.*)$ /new/$1 redirect; }}
        location /blog/ {{ rewrite ^/blog/([^/]*)/(.*)$ /archive/$1/$2 permanent; }}
        location = /go {{ return 307 https://example.org/x; }}
        location = /search {{ return 308 /find?from=search; }}
        location /spa/ {{ rewrite ^ /index.html break; }}
        location /gone/ {{ error_page 404 /dir/index.html; return 404; }}
        location = /app.js {{ return 301 /photo.png; }}
    }}
}}
"
    )
}
