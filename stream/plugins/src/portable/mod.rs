//! eKuiper's portable plugins: programs in any language beside the engine.
//!
//! A package (`NAME.zip` with `NAME.json`) is unpacked below the plugins folder. One process runs for each plugin, started
//! when its first symbol is used, restarted with backoff when it dies, killed when the plugin is removed or the program
//! ends. The engine listens on `plugin_NAME.ipc`; the process asks there for its commands ("handshake" first, then the
//! answer to the command before). Functions work the same way over `func_SYMBOL.ipc`; sources push to `RULE_OP_INSTANCE.ipc`,
//! sinks pull from there and report on `RULE_OP_INSTANCE_ack.ipc` (eKuiper 2.4, Go and Python SDK).

mod conversation;
mod function;
mod options;
mod package;
mod plugin;
mod process;
mod sink;
mod source;

pub(crate) use function::FUNCTIONS_RULE;
pub use function::PortableFunction;
pub use options::Options;
pub(crate) use package::remove;
pub use package::{Language, Spec, check_name, install, read_spec};
pub use plugin::{Control, Meta, Plugin, Running, Status, SymbolKind};
pub use sink::PortableSink;
pub use source::PortableSource;
