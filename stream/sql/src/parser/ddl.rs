//! CREATE, SHOW, DESCRIBE, EXPLAIN, DROP. Their words are plain identifiers elsewhere.

use super::Parser;
use crate::ast::{CreateStream, DataType, Expr, Field, Statement, StreamKind, StreamOptions, TableKind};
use crate::error::{Result, SqlError};
use crate::lexer::{Keyword, Kind};
use crate::quote::Quoted;

const TYPES: &str = "valid stream field types(BIGINT | FLOAT | STRINGS | DATETIME | BOOLEAN | BYTEA | ARRAY | STRUCT)";

/// The options eKuiper's texts list.
const KNOWN: &str =
    "DATASOURCE|FORMAT|KEY|CONF_KEY|SHARED|STRICT_VALIDATION|TYPE|TIMESTAMP|TIMESTAMP_FORMAT|RETAIN_SIZE|SCHEMAID";

/// All options.
const OPTIONS: [&str; 16] = [
    "DATASOURCE",
    "FORMAT",
    "KEY",
    "CONF_KEY",
    "SHARED",
    "STRICT_VALIDATION",
    "TYPE",
    "TIMESTAMP",
    "TIMESTAMP_FORMAT",
    "RETAIN_SIZE",
    "SCHEMAID",
    "KIND",
    "DELIMITER",
    "VERSION",
    "TEMP",
    "EXTRA",
];

/// FORMATs there are.
const FORMATS: [&str; 6] = ["json", "binary", "delimited", "urlencoded", "protobuf", "custom"];

impl Parser<'_> {
    pub(super) fn create(&mut self) -> Result<Statement> {
        self.at += 1;
        let (kind, name) = self.stream_name()?;
        let fields = if self.eat("(") {
            self.declarations()?
        } else {
            return self.expected("lparen after stream name");
        };
        if !self.word("WITH") {
            return self.expected("is with");
        }
        let options = self.options()?;
        if !self.is(";") && !self.at_end() {
            return self.expected("semicolon or EOF");
        }
        check(kind, &fields, &options)?;
        Ok(Statement::Create(Box::new(CreateStream { kind, name, fields, options })))
    }

    /// `STREAM|TABLE name`.
    pub(super) fn stream_name(&mut self) -> Result<(StreamKind, String)> {
        let kind = if self.word("STREAM") {
            StreamKind::Stream
        } else if self.word("TABLE") {
            StreamKind::Table
        } else {
            return self.expected("keyword stream or table");
        };
        match self.peek() {
            Kind::Ident(..) => Ok((kind, self.ident()?)),
            _ if kind == StreamKind::Stream => self.expected("stream name"),
            _ => self.expected("table name"),
        }
    }

    /// `STREAMS|TABLES`.
    pub(super) fn stream_kinds(&mut self) -> Result<(StreamKind, String)> {
        if self.word("STREAMS") {
            Ok((StreamKind::Stream, String::new()))
        } else if self.word("TABLES") {
            Ok((StreamKind::Table, String::new()))
        } else {
            self.expected("keyword streams or tables")
        }
    }

    /// Columns up to the closing parenthesis; a comma may trail.
    fn declarations(&mut self) -> Result<Vec<Field>> {
        let mut fields = Vec::new();
        while !self.eat(")") {
            fields.push(self.declared()?);
            if !self.eat(",") && !self.is(")") {
                return self.expect_here("comma or rparen");
            }
        }
        Ok(fields)
    }

    fn declared(&mut self) -> Result<Field> {
        let Kind::Ident(name, _) = self.peek() else { return self.expect_here("stream field name") };
        let name = name.clone();
        self.at += 1;
        let data_type = self.nested(Parser::data_type)?;
        let default = if self.keyword(Keyword::Default) { Some(self.literal()?) } else { None };
        Ok(Field { name, data_type, default })
    }

    fn literal(&mut self) -> Result<Expr> {
        let literal = match self.peek() {
            Kind::Int(int) => Expr::Int(*int),
            Kind::Number(float) => Expr::Float(*float),
            Kind::Str(text) => Expr::Str(text.clone()),
            Kind::Keyword(Keyword::True) => Expr::Bool(true),
            Kind::Keyword(Keyword::False) => Expr::Bool(false),
            _ => return self.expected("literal after DEFAULT"),
        };
        self.at += 1;
        Ok(literal)
    }

    fn data_type(&mut self) -> Result<DataType> {
        let Kind::Ident(word, _) = self.peek() else { return self.expect_here(TYPES) };
        let word = word.to_ascii_uppercase();
        self.at += 1;
        Ok(match word.as_str() {
            "BIGINT" => DataType::Bigint,
            "FLOAT" => DataType::Float,
            "STRING" => DataType::String,
            "BYTEA" => DataType::Bytea,
            "DATETIME" => DataType::Datetime,
            "BOOLEAN" => DataType::Boolean,
            "ARRAY" => {
                if !self.eat("(") {
                    return self.expect_here("lparen after array");
                }
                let item = self.nested(Parser::data_type)?;
                if !self.eat(")") {
                    let found = self.quoted();
                    return Err(SqlError::Clause(format!(
                        "found {found}, expect rparen in array of {item} type definition."
                    )));
                }
                DataType::Array(Box::new(item))
            }
            "STRUCT" => {
                if !self.eat("(") {
                    return self.expect_here("lparen after struct");
                }
                DataType::Struct(self.declarations()?)
            }
            _ => {
                self.at -= 1;
                return self.expect_here(TYPES);
            }
        })
    }

    /// `(KEY = "value" [,] …)`; commas are optional and one may trail.
    fn options(&mut self) -> Result<StreamOptions> {
        if !self.eat("(") {
            return self.expect_here("stream options");
        }
        let mut options = StreamOptions::default();
        loop {
            if self.eat(",") {
                continue;
            }
            if self.eat(")") {
                return Ok(options);
            }
            if self.at_end() || self.is(";") {
                return Err(SqlError::Clause("Parenthesis is not matched in options definition.".into()));
            }
            let key = self.found();
            let known =
                matches!(self.peek(), Kind::Ident(..)) && OPTIONS.iter().any(|name| key.eq_ignore_ascii_case(name));
            if !known {
                return Err(SqlError::Clause(format!("found {}, unknown option keys({KNOWN}).", Quoted(&key))));
            }
            self.at += 1;
            if !self.eat("=") {
                return self.expect_here("equals(=) in options");
            }
            let value = match self.peek() {
                Kind::Str(value) => value.clone(),
                Kind::Keyword(Keyword::True) => "TRUE".to_string(),
                Kind::Keyword(Keyword::False) => "FALSE".to_string(),
                _ => return self.expect_here("string value in option"),
            };
            self.at += 1;
            set(&mut options, &key.to_ascii_uppercase(), value)?;
        }
    }
}

fn set(options: &mut StreamOptions, key: &str, value: String) -> Result<()> {
    let text = match key {
        "DATASOURCE" => &mut options.datasource,
        "KEY" => &mut options.key,
        "FORMAT" => &mut options.format,
        "CONF_KEY" => &mut options.conf_key,
        "TYPE" => &mut options.source_type,
        "TIMESTAMP" => &mut options.timestamp,
        "TIMESTAMP_FORMAT" => &mut options.timestamp_format,
        "SCHEMAID" => &mut options.schema_id,
        "DELIMITER" => &mut options.delimiter,
        "VERSION" => &mut options.version,
        "EXTRA" => &mut options.extra,
        _ => return set_typed(options, key, &value),
    };
    *text = Some(value);
    Ok(())
}

fn set_typed(options: &mut StreamOptions, key: &str, value: &str) -> Result<()> {
    let wrong = |what: &str| SqlError::Clause(format!("found {}, expect {what} in {key} option.", Quoted(value)));
    let truth = || match value.to_ascii_uppercase().as_str() {
        "TRUE" => Ok(true),
        "FALSE" => Ok(false),
        _ => Err(wrong("TRUE/FALSE value")),
    };
    match key {
        "STRICT_VALIDATION" => options.strict_validation = truth()?,
        "SHARED" => options.shared = truth()?,
        "TEMP" => options.temp = truth()?,
        "RETAIN_SIZE" => {
            let Ok(size) = value.parse() else { return Err(wrong("number value")) };
            options.retain_size = Some(size);
        }
        "KIND" => {
            options.kind = Some(match value.to_ascii_lowercase().as_str() {
                "scan" => TableKind::Scan,
                "lookup" => TableKind::Lookup,
                _ => return Err(wrong("lookup/scan value")),
            });
        }
        _ => {}
    }
    Ok(())
}

/// What a definition must hold beyond its grammar (`validateStream` of eKuiper 2.4).
fn check(kind: StreamKind, fields: &[Field], options: &StreamOptions) -> Result<()> {
    if options.kind.is_some() && kind == StreamKind::Stream {
        return Err(SqlError::Clause("'kind' property is only supported for table.".into()));
    }
    let format = options.format.as_deref().unwrap_or_default();
    if !format.is_empty() && !FORMATS.iter().any(|known| format.eq_ignore_ascii_case(known)) {
        return Err(SqlError::Clause(format!("option 'format={format}' is invalid")));
    }
    if !format.eq_ignore_ascii_case("binary") {
        return Ok(());
    }
    if kind == StreamKind::Table {
        return Err(SqlError::Clause("'binary' format is not supported for table".into()));
    }
    match fields {
        [] => Ok(()),
        [field] if field.data_type == DataType::Bytea => Ok(()),
        [_] => Err(SqlError::Clause("'binary' format stream can have only 'bytea' type field".into())),
        _ => Err(SqlError::Clause("'binary' format stream can have only one field".into())),
    }
}
