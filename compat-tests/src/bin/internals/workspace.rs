//! The workspace's packages, as cargo tells of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A package.
pub struct Package {
    /// Its name.
    pub name: String,
    /// The name of its library in the code of others.
    pub ident: String,
    /// The root files of its library and programs.
    pub roots: Vec<PathBuf>,
    /// The names of the packages that it may import.
    pub dependencies: Vec<String>,
}

impl Package {
    /// Whether it is a part of the kernel alone.
    pub fn in_kernel(&self, checkout: &Path) -> bool {
        self.roots.iter().all(|root| root.starts_with(checkout.join("kernel")))
    }
}

/// All packages.
pub fn packages(checkout: &Path) -> Result<Vec<Package>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let said = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(checkout)
        .output()
        .map_err(|e| format!("cargo metadata: {e}"))?;
    let all: Value = serde_json::from_slice(&said.stdout)
        .map_err(|e| format!("cargo metadata: {e}\n{}", String::from_utf8_lossy(&said.stderr)))?;
    Ok(list(&all["packages"]).map(package).collect())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn package(value: &Value) -> Package {
    let name = value["name"].as_str().unwrap_or_default().to_owned();
    let is =
        |target: &Value, kinds: &[&str]| list(&target["kind"]).any(|kind| kind.as_str().is_some_and(|k| kinds.contains(&k)));
    let library = list(&value["targets"]).find(|target| is(target, &["lib"])).and_then(|target| target["name"].as_str());
    let ident = library.unwrap_or(&name).replace('-', "_");
    let roots = list(&value["targets"]).filter(|target| is(target, &["lib", "bin"]));
    let dependencies = list(&value["dependencies"]).filter_map(|on| on["name"].as_str().map(str::to_owned)).collect();
    Package {
        dependencies,
        roots: roots.filter_map(|target| Some(target["src_path"].as_str()?.into())).collect(),
        name,
        ident,
    }
}
