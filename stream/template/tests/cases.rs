//! The table of templates: `[template, JSON data, expected output]` in `cases/*.yaml`; files named `errors*` expect error texts.

use edgeward_functions::json::{Numbers, parse};
use edgeward_template::Template;

fn run(template: &str, data: &str) -> Result<String, String> {
    let data = parse(data.as_bytes(), Numbers::Float).map_err(|error| error.to_string())?;
    let template = Template::parse("sink", template).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    template.execute(&data, &mut out).map_err(|error| error.to_string())?;
    String::from_utf8(out).map_err(|error| error.to_string())
}

#[test]
fn templates_print_what_go_prints() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases")).unwrap() {
        let path = entry.unwrap().path();
        let errors = path.file_name().unwrap().to_string_lossy().starts_with("errors");
        let text = std::fs::read_to_string(&path).unwrap();
        let cases: Vec<(String, String, String)> = serde_saphyr::from_str(&text).unwrap();
        for (template, data, expect) in cases {
            count += 1;
            let result = run(&template, &data);
            let expected = if errors { Err(expect) } else { Ok(expect) };
            if result != expected {
                wrong.push(format!("{template} over {data}\n   got {result:?}\n  want {expected:?}"));
            }
        }
    }
    assert!(count > 100, "only {count} cases were found");
    assert!(wrong.is_empty(), "{} of {count} cases:\n{}", wrong.len(), wrong.join("\n"));
}
