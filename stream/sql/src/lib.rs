//! eKuiper's SQL dialect: lexer, Pratt parser, syntax tree and printer.
//!
//! Total on any input: text becomes a tree or an error with eKuiper's words, never a panic, and nesting is limited. The room knows
//! no functions, streams or values: what a name means is checked by the engine when it plans.

pub mod ast;
