//! What a header says beside sizes and type, and which of it stays true of a result.

use crate::ElementType;

/// Of the whole.
const DESCRIPTIVE: [&str; 2] = ["description", "sensor type"];

/// Of each band.
const OF_BANDS: [&str; 5] = ["wavelength units", "wavelength", "fwhm", "band names", "bbl"];

/// Where pixels lie.
const OF_PLACES: [&str; 3] = ["map info", "projection info", "coordinate system string"];

const IGNORED_VALUE: &str = "data ignore value";

/// Keys and their values, in the file's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keys(Vec<(String, String)>);

impl Keys {
    /// Those that may stay true; of one that is there twice the first.
    pub(super) fn of(entries: &[(String, String)]) -> Self {
        let known = |key: &str| {
            key == IGNORED_VALUE
                || [&DESCRIPTIVE[..], &OF_BANDS, &OF_PLACES].iter().any(|keys| keys.contains(&key))
        };
        let mut kept: Vec<(String, String)> = Vec::new();
        for (key, value) in entries.iter().filter(|(key, _)| known(key)) {
            if kept.iter().all(|(other, _)| other != key) {
                kept.push((key.clone(), value.clone()));
            }
        }
        Self(kept)
    }

    /// Those that are true of a result with the same bands, or not, in the same places, or not, of this type.
    #[must_use]
    pub fn still_true(&self, bands: bool, places: bool, kind: ElementType) -> Self {
        let stays = |(key, value): &&(String, String)| match &key[..] {
            IGNORED_VALUE => holds(kind, value),
            key if OF_BANDS.contains(&key) => bands,
            key if OF_PLACES.contains(&key) => places,
            _ => true,
        };
        Self(self.0.iter().filter(stays).cloned().collect())
    }

    /// Keys and values.
    #[must_use]
    pub fn entries(&self) -> &[(String, String)] {
        &self.0
    }
}

/// Whether a type holds the number that this says.
fn holds(kind: ElementType, value: &str) -> bool {
    let Ok(value) = value.parse::<f64>() else { return false };
    match kind.integers() {
        None => true,
        Some(whole) => {
            value.fract() == 0.0 && (*whole.start() as f64..=*whole.end() as f64).contains(&value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_true() {
        let said = [
            ("description", "{a cube}"),
            ("wavelength", "{400, 500}"),
            ("map info", "{UTM, 1, 1}"),
            ("data ignore value", "-9999"),
            ("default bands", "{1}"),
            ("wavelength", "{1, 2}"),
        ];
        let said = said.map(|(key, value)| (key.to_string(), value.to_string()));
        let keys = Keys::of(&said);
        let names = |keys: Keys| -> Vec<String> {
            keys.entries().iter().map(|(key, _)| key.clone()).collect()
        };
        let all = ["description", "wavelength", "map info", "data ignore value"];
        assert_eq!(names(keys.clone()), all);
        assert_eq!(keys.entries()[1].1, "{400, 500}");
        assert_eq!(names(keys.still_true(true, true, ElementType::F32)), all);
        assert_eq!(names(keys.still_true(true, false, ElementType::U16)), all[..2]);
        assert_eq!(names(keys.still_true(false, true, ElementType::I16)), [all[0], all[2], all[3]]);
        assert!(
            !holds(ElementType::U8, "0.5")
                && !holds(ElementType::F32, "none")
                && holds(ElementType::F64, "1e-3")
        );
    }
}
