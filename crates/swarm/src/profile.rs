//! The profile of a conversation: the file `profile.vcf` (docs/protocol/05-swarm.md section
//! 2.5).

/// Title, description and picture of a conversation, and who hosts its conferences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// The title.
    pub title: Option<String>,
    /// The description.
    pub description: Option<String>,
    /// Base64 of a picture.
    pub avatar: Option<String>,
    /// The account whose device hosts conferences.
    pub host_account: Option<String>,
    /// That device.
    pub host_device: Option<String>,
}

/// A value that would end its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a profile's values are single lines")]
pub struct NotOneLine;

impl Profile {
    /// Reads the file; lines that mean nothing are skipped.
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut profile = Self::default();
        for line in text.split('\n') {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let field = match key {
                "FN" => &mut profile.title,
                "DESCRIPTION" => &mut profile.description,
                "RDV_ACCOUNT" => &mut profile.host_account,
                "RDV_DEVICE" => &mut profile.host_device,
                _ if key.starts_with("PHOTO") => &mut profile.avatar,
                _ => continue,
            };
            *field = Some(value.to_owned());
        }
        profile
    }

    /// The file as existing peers write it, blank lines and all.
    ///
    /// # Errors
    /// If a value has more than one line: it could add any others.
    pub fn to_vcard(&self) -> Result<String, NotOneLine> {
        let fields = [
            &self.title,
            &self.description,
            &self.avatar,
            &self.host_account,
            &self.host_device,
        ];
        let mut values = fields.into_iter().flatten();
        if values.any(|value| value.contains(['\r', '\n'])) {
            return Err(NotOneLine);
        }
        let line = |key: &str, value: &Option<String>| match value {
            Some(value) => format!("{key}:{value}\n"),
            None => String::new(),
        };
        let avatar = self.avatar.as_deref();
        let card = [
            "BEGIN:VCARD\nVERSION:2.1\n".to_owned(),
            line("FN", &self.title),
            line("DESCRIPTION", &self.description),
            "PHOTO;ENCODING=BASE64".to_owned(),
            avatar.map_or(String::new(), |avatar| format!(":{avatar}")),
            "\n".to_owned(),
            line("RDV_ACCOUNT", &self.host_account) + "\n",
            line("RDV_DEVICE", &self.host_device) + "\n",
            "END:VCARD".to_owned(),
        ];
        Ok(card.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_profile_is_written_as_it_was() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../testing/vectors/swarm-commits.txt"
        );
        let text = std::fs::read_to_string(path).unwrap();
        let (_, part) = text.split_once("profile.vcf (hex)").unwrap();
        let hex = part.lines().find(|line| line.len() > 40).unwrap();
        let real = baraza_wire::hex::decode(hex.trim()).unwrap();
        let profile = Profile::parse(&real);
        assert!(profile.title.is_some());
        assert_eq!(profile.to_vcard().unwrap().as_bytes(), real);
    }

    #[test]
    fn all_fields_survive_and_lines_cannot_be_smuggled_in() {
        let profile = Profile {
            title: Some("a: b".into()),
            description: Some("d".into()),
            avatar: Some("QUJD".into()),
            host_account: Some("u".into()),
            host_device: Some("d".into()),
        };
        let card = profile.to_vcard().unwrap();
        assert_eq!(Profile::parse(card.as_bytes()), profile);
        assert_eq!(
            Profile::parse(card.replace('\n', "\r\n").as_bytes()),
            profile
        );
        let bad = Profile {
            title: Some("x\nRDV_ACCOUNT:me".into()),
            ..profile
        };
        assert_eq!(bad.to_vcard(), Err(NotOneLine));
    }
}
