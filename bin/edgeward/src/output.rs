//! What the program prints: the only place besides the demo that does.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

/// One line that says what went wrong, why, and (from the error's own text) what to do.
pub(crate) fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    let mut said = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // Libraries differ on whether a text repeats its cause.
        if !said.contains(&text) {
            if !said.is_empty() {
                said.push_str(": ");
            }
            said.push_str(&text);
        }
    }
    eprintln!("edgeward: {said}");
    ExitCode::from(code)
}

/// Prints one line to standard output.
pub(crate) fn line(text: impl std::fmt::Display) {
    println!("{text}");
}

/// Prints rows under headers, as kubectl does: no borders, columns three blanks apart.
pub(crate) fn table<const N: usize>(headers: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(headers);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    println!("{}", table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n"));
}
