//! The one tree of files, which all processes share.

use alloc::sync::Arc;

use fs::Namespace;
use spin::Once;

static NAMESPACE: Once<Arc<Namespace>> = Once::new();

/// The mounts. One namespace serves all processes.
///
/// # Panics
/// Before [`set_namespace`]: a mistake in the order of boot.
pub fn namespace() -> &'static Arc<Namespace> {
    match NAMESPACE.get() {
        Some(namespace) => namespace,
        None => panic!("the file system is used before it is there"),
    }
}

/// Says which it is. The first stays, and is returned.
pub fn set_namespace(namespace: Arc<Namespace>) -> &'static Arc<Namespace> {
    NAMESPACE.call_once(|| namespace)
}
