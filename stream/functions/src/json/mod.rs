//! JSON text to and from values, without any intermediate tree.

mod complaint;
mod cursor;
mod error;
mod fastjson;
mod number;
mod parse;
mod print;
mod swar;
mod text;

pub use complaint::complaint;
pub use cursor::{Cursor, MAX_DEPTH};
pub use error::JsonError;
pub use fastjson::decoder_complaint;
pub use number::Numbers;
pub use parse::{lenient, parse};
pub use print::{Printer, Unprintable, write_string};
