//! The servers, as both guests run them: Debian's own programs, configured alike.

use super::load;
use crate::build::{self, Link};
use crate::error::{On, Result, fail};
use mkimage::Options;
use std::fs;

/// As long as the page that nginx is shipped with.
const SMALL: usize = 612;

/// No log, one process, and files that the kernel may send by itself.
const NGINX: &str = "daemon off;
master_process off;
worker_processes 1;
error_log stderr;
pid /tmp/nginx.pid;
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  server { listen 80; root /bench; }
}
";

/// A server.
pub struct Server {
    /// Its name.
    pub name: &'static str,
    /// Program, arguments and files.
    pub options: Options,
    /// Open when it is ready.
    pub port: u16,
}

impl Server {
    /// All there are.
    pub const NAMES: [&'static str; 4] = ["redis", "nginx", "iperf3", "echo"];

    /// One of them.
    pub fn named(name: &str) -> Result<Self> {
        let options = |program: &str, args: &[&str]| {
            let args = args.iter().map(|a| (*a).to_owned()).collect();
            Options { program: program.into(), args, ..Options::default() }
        };
        Ok(match name {
            "redis" => {
                let args = ["--save", "", "--appendonly", "no", "--protected-mode", "no", "--bind", "0.0.0.0"];
                Self { name: "redis", options: options("redis-server", &args), port: load::REDIS }
            }
            "nginx" => {
                let args = ["-e", "stderr", "-c", "/bench/nginx.conf"];
                Self { name: "nginx", options: Options { add: site()?, ..options("nginx", &args) }, port: 80 }
            }
            "iperf3" => Self { name: "iperf3", options: options("iperf3", &["-s"]), port: load::IPERF },
            "echo" => {
                let program = build::c("echo", Link::Static)?.display().to_string();
                Self { name: "echo", options: options(&program, &["serve"]), port: load::ECHO }
            }
            _ => fail!("no server {name}"),
        })
    }
}

/// nginx's configuration and the files that it serves.
fn site() -> Result<Vec<String>> {
    let dir = build::dir()?.join("site");
    fs::create_dir_all(&dir).on(dir.display())?;
    let files = [("nginx.conf", NGINX.into()), ("small.html", vec![b'x'; SMALL]), ("large.bin", vec![b'y'; 1 << 20])];
    let write = |(name, content): (&str, Vec<u8>)| {
        let path = dir.join(name);
        fs::write(&path, content).on(path.display())?;
        Ok(format!("{}:/bench/{name}", path.display()))
    };
    files.into_iter().map(write).collect()
}
