use super::Printer;
pub(super) fn printer(_group: &str, _plural: &str) -> Option<Printer> {
    None
}
