//! What executing a definition answers, in eKuiper's words: REST, the command line and the case files say the same.

use crate::ast::{CreateStream, DataType, StreamKind};

impl StreamKind {
    /// `Stream` or `Table`, as sentences begin.
    pub fn title(self) -> &'static str {
        match self {
            StreamKind::Stream => "Stream",
            StreamKind::Table => "Table",
        }
    }

    /// `stream` or `table`.
    pub fn word(self) -> &'static str {
        match self {
            StreamKind::Stream => "stream",
            StreamKind::Table => "table",
        }
    }

    /// There is none of this name.
    pub fn not_found(self, name: &str) -> String {
        format!("{} {name} is not found.", self.title())
    }

    /// The one of this name is gone.
    pub fn dropped(self, name: &str) -> String {
        format!("{} {name} is dropped.", self.title())
    }

    /// Why a statement was not executed; `action` is `Create`, `Replace` or `Drop`.
    pub fn fails(self, action: &str, reason: &str) -> String {
        format!("{action} {} fails: {reason}.", self.word())
    }
}

impl CreateStream {
    /// It is there now.
    pub fn created(&self) -> String {
        format!("{} {} is created.", self.kind.title(), self.name)
    }

    /// It stands for the one before.
    pub fn replaced(&self) -> String {
        format!("{} {} is replaced.", self.kind.title(), self.name)
    }

    /// Why it cannot be created beside one of the same name.
    pub fn exists(&self) -> String {
        self.kind.fails("Create", &format!("Item {} already exists", self.name))
    }

    /// Whether it may stand for `old`: versions are compared as text, and SHARED stays as it is.
    ///
    /// # Errors
    /// The sentence that says why not.
    pub fn may_replace(&self, old: &CreateStream) -> Result<(), String> {
        let version = |create: &CreateStream| create.options.version.clone().unwrap_or_default();
        let (new, known) = (version(self), version(old));
        if !(new.is_empty() && known.is_empty()) && new <= known {
            let reason = format!("source {} already exists with version ({known}), new version ({new})", self.name);
            return Err(self.kind.fails("Replace", &reason));
        }
        if old.options.shared != self.options.shared {
            return Err(self.kind.fails("Replace", "SHARED cannot be changed"));
        }
        Ok(())
    }

    /// What DESCRIBE answers.
    pub fn described(&self) -> String {
        let mut out = format!("Fields\n{}\n", "-".repeat(80));
        for field in &self.fields {
            out.push_str(&format!("{}\t{}\n", field.name, type_name(&field.data_type)));
        }
        out.push('\n');
        let options = &self.options;
        let flag = |set: bool| set.then(|| "true".to_string());
        let lines = [
            ("CONF_KEY", options.conf_key.clone()),
            ("DATASOURCE", options.datasource.clone()),
            ("FORMAT", options.format.clone()),
            ("SCHEMAID", options.schema_id.clone()),
            ("KEY", options.key.clone()),
            ("RETAIN_SIZE", options.retain_size.filter(|size| *size != 0).map(|size| size.to_string())),
            ("SHARED", flag(options.shared)),
            ("STRICT_VALIDATION", flag(options.strict_validation)),
            ("TIMESTAMP", options.timestamp.clone()),
            ("TIMESTAMP_FORMAT", options.timestamp_format.clone()),
            ("TYPE", options.source_type.clone()),
        ];
        for (key, value) in lines {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                out.push_str(&format!("{key}: {value}\n"));
            }
        }
        out
    }
}

/// A type as DESCRIBE prints it: its words in small letters, names of members as they are.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Array(item) => format!("array({})", type_name(item)),
        DataType::Struct(fields) => {
            let members: Vec<String> =
                fields.iter().map(|field| format!("{} {}", field.name, type_name(&field.data_type))).collect();
            format!("struct({})", members.join(", "))
        }
        simple => simple.to_string().to_ascii_lowercase(),
    }
}
