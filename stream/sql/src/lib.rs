//! eKuiper's SQL dialect: lexer, Pratt parser, syntax tree and printer.
//!
//! Total on any input: text becomes a tree or an error with eKuiper's words, never a panic, and nesting is limited. The room knows
//! no functions, streams or values: what a name means is checked by the engine when it plans.
//!
//! ```
//! let statement = edgeward_sql::parse("SELECT avg(t) FROM demo GROUP BY TUMBLINGWINDOW(ss, 10)").unwrap();
//! assert_eq!(statement.to_string(), "SELECT avg(t) FROM demo GROUP BY TUMBLINGWINDOW(ss, 10)");
//! ```

pub mod ast;
mod error;
mod lexer;
mod parser;
mod printer;
mod quote;
mod sentences;

pub use error::SqlError;
pub use lexer::is_keyword;
pub use parser::{
    Functions, MAX_HEIGHT, MAX_NESTING, parse, parse_all, parse_all_with, parse_expr, parse_select, parse_select_with,
};
