//! Word splitting of `snakecase`, `kebabcase` and `camelcase`, by the rules of the xstrings library sprig uses.

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    None,
    Number,
    Upper,
    Alphabet,
    Connector,
    Punct,
    Other,
}

fn connector(char: char) -> bool {
    matches!(char, '-' | '_') || char.is_whitespace()
}

fn punct(char: char) -> bool {
    char.is_ascii_punctuation() && !matches!(char, '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~')
}

/// A letter that has two cases.
fn alphabet(char: char) -> bool {
    char.is_alphabetic()
}

fn next_word(text: &str) -> (Kind, &str, &str) {
    let Some(first) = text.chars().next() else { return (Kind::None, "", "") };
    let run = |belongs: fn(char) -> bool| {
        let from = first.len_utf8();
        text[from..].find(|char| !belongs(char)).map_or(text.len(), |end| from + end)
    };
    let (kind, end) = if connector(first) {
        (Kind::Connector, run(connector))
    } else if punct(first) {
        (Kind::Punct, run(punct))
    } else if first.is_uppercase() {
        (Kind::Upper, upper_end(text, first))
    } else if alphabet(first) {
        (Kind::Alphabet, run(|char| alphabet(char) && !char.is_uppercase()))
    } else if first.is_numeric() {
        (Kind::Number, run(char::is_numeric))
    } else {
        (Kind::Other, run(|char| !(connector(char) || alphabet(char) || char.is_numeric() || punct(char))))
    };
    (kind, &text[..end], &text[end..])
}

/// `HTTPStatus` is `HTTP` and `Status`; `Status` is one word.
fn upper_end(text: &str, first: char) -> usize {
    let from = first.len_utf8();
    let Some(second) = text[from..].chars().next() else { return from };
    if !second.is_uppercase() {
        let belongs = |char: char| alphabet(char) && !char.is_uppercase();
        return text[from..].find(|char| !belongs(char)).map_or(text.len(), |end| from + end);
    }
    let end = text.find(|char: char| !char.is_uppercase()).unwrap_or(text.len());
    match text[end..].chars().next() {
        Some(next) if alphabet(next) => end - text[..end].chars().next_back().map_or(0, char::len_utf8),
        _ => end,
    }
}

/// `xstrings.ToSnakeCase` and `ToKebabCase`.
pub(super) fn snake(text: &str, joint: char) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let (mut kind, mut word, mut rest) = next_word(text);
    while !rest.is_empty() {
        if kind != Kind::Connector {
            push(&mut out, kind, word, joint);
        }
        let (before, last) = (kind, word);
        (kind, word, rest) = next_word(rest);
        let ends = |kind| matches!(kind, Kind::None | Kind::Connector | Kind::Punct);
        match before {
            Kind::Number => {
                (kind, word, rest) = letters(&mut out, kind, word, rest, joint);
                if !ends(kind) {
                    out.push(joint);
                }
            }
            Kind::Connector => push(&mut out, before, last, joint),
            Kind::Punct => {}
            _ if kind != Kind::Number => {
                if !ends(kind) {
                    out.push(joint);
                }
            }
            _ if rest.is_empty() => {}
            _ => {
                let number = word;
                (kind, word, rest) = next_word(rest);
                if kind != Kind::Alphabet {
                    push(&mut out, Kind::Number, number, joint);
                    if !ends(kind) {
                        out.push(joint);
                    }
                    continue;
                }
                out.push(joint);
                push(&mut out, Kind::Number, number, joint);
                (kind, word, rest) = letters(&mut out, kind, word, rest, joint);
                if !ends(kind) {
                    out.push(joint);
                }
            }
        }
    }
    push(&mut out, kind, word, joint);
    out
}

/// Letters and numbers that belong to the number before them.
fn letters<'a>(
    out: &mut String,
    mut kind: Kind,
    mut word: &'a str,
    mut rest: &'a str,
    joint: char,
) -> (Kind, &'a str, &'a str) {
    while matches!(kind, Kind::Alphabet | Kind::Number) {
        push(out, kind, word, joint);
        (kind, word, rest) = next_word(rest);
    }
    (kind, word, rest)
}

fn push(out: &mut String, kind: Kind, word: &str, joint: char) {
    match kind {
        Kind::Connector => out.extend(word.chars().map(|_| joint)),
        Kind::Upper => out.extend(word.chars().flat_map(char::to_lowercase)),
        _ => out.push_str(word),
    }
}

/// `xstrings.ToPascalCase`.
pub(super) fn pascal(text: &str) -> String {
    let upper = |char: char| char.to_uppercase().next().unwrap_or(char);
    let body = text.trim_start_matches(connector);
    let mut out = String::from(&text[..text.len() - body.len()]);
    let mut chars = body.chars();
    let Some(first) = chars.next() else { return out };
    let mut in_upper = first.is_uppercase();
    let mut current = upper(first);
    for char in chars {
        let before = std::mem::replace(&mut current, char);
        if connector(char) && connector(before) {
            out.push(before);
        } else if connector(before) {
            in_upper = char.is_uppercase();
            current = upper(char);
        } else {
            if in_upper {
                if char.is_uppercase() {
                    current = char.to_lowercase().next().unwrap_or(char);
                } else {
                    in_upper = false;
                }
            }
            out.push(before);
        }
    }
    out.push(current);
    out
}
