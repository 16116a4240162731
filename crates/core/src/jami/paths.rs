//! Where existing peers keep their data, on each system (section 16.1).

use std::path::{Path, PathBuf};

/// Systems that existing peers run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// GNU/Linux and other free systems.
    Linux,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
    /// Android.
    Android,
}

impl System {
    /// The one this program runs on.
    pub const fn here() -> Self {
        if cfg!(target_os = "macos") {
            Self::MacOs
        } else if cfg!(target_os = "windows") {
            Self::Windows
        } else if cfg!(target_os = "android") {
            Self::Android
        } else {
            Self::Linux
        }
    }
}

/// Data directories that there may be on a system, the likely ones first. `variable` gives
/// variables of the environment.
pub fn data_directories(
    system: System,
    variable: impl Fn(&str) -> Option<PathBuf>,
) -> Vec<PathBuf> {
    // As the XDG rules say, what is not absolute does not count.
    let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
    let home = absolute("HOME");
    let below = |directory: Option<PathBuf>, part: &str| Some(directory?.join(part));
    let found = match system {
        System::Linux => {
            let data = absolute("XDG_DATA_HOME").or_else(|| below(home.clone(), ".local/share"));
            // As the packages for Flatpak and Snap have it.
            let flatpak = below(home.clone(), ".var/app/net.jami.Jami/data/jami");
            let snap = below(home, "snap/jami/common/.local/share/jami");
            vec![
                below(data.clone(), "jami"),
                below(data, "ring"),
                flatpak,
                snap,
            ]
        }
        System::MacOs => {
            let support = "Library/Application Support";
            let container = "Library/Containers/com.savoirfairelinux.ring.macos/Data";
            vec![
                below(home.clone(), &format!("{support}/jami")),
                below(home.clone(), &format!("{support}/Jami")),
                below(home, &format!("{container}/{support}/jami")),
            ]
        }
        System::Windows => {
            let local = variable("LOCALAPPDATA")
                .or_else(|| below(variable("USERPROFILE"), "AppData/Local"));
            vec![below(local, "jami")]
        }
        System::Android => vec![Some(PathBuf::from("/data/data/cx.ring/files"))],
    };
    found.into_iter().flatten().collect()
}

/// Where `dring.yml` is, if the data is in `data`.
pub fn config_directories(
    system: System,
    data: &Path,
    variable: impl Fn(&str) -> Option<PathBuf>,
) -> Vec<PathBuf> {
    match system {
        System::Linux => {
            let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
            let config = absolute("XDG_CONFIG_HOME")
                .or_else(|| Some(absolute("HOME")?.join(".config")))
                .map(|config| config.join("jami"));
            // Beside each other in a home that was copied.
            let home = data.ancestors().nth(3);
            let copied = home.map(|home| home.join(".config/jami"));
            copied.into_iter().chain(config).collect()
        }
        _ => vec![data.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(system: System, variables: &[(&str, &str)]) -> Vec<String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| PathBuf::from(value))
        };
        data_directories(system, variable)
            .into_iter()
            .map(|path| path.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn linux_goes_by_xdg_and_then_by_home() {
        let home = ("HOME", "/home/a");
        let plain = paths(System::Linux, &[home]);
        assert_eq!(plain[0], "/home/a/.local/share/jami");
        let set = paths(System::Linux, &[home, ("XDG_DATA_HOME", "/data")]);
        assert_eq!(set[..2], ["/data/jami", "/data/ring"]);
        let relative = paths(System::Linux, &[home, ("XDG_DATA_HOME", "data")]);
        assert_eq!(relative, plain);
        assert!(paths(System::Linux, &[]).is_empty());
    }

    #[test]
    fn other_systems_have_places_of_their_own() {
        let mac = paths(System::MacOs, &[("HOME", "/Users/a")]);
        assert_eq!(mac[0], "/Users/a/Library/Application Support/jami");
        let container = "/Users/a/Library/Containers/com.savoirfairelinux.ring.macos/Data/\
                         Library/Application Support/jami";
        assert_eq!(mac[2], container);
        let local = paths(System::Windows, &[("LOCALAPPDATA", "C:/U/a/AppData/Local")]);
        assert_eq!(local, ["C:/U/a/AppData/Local/jami"]);
        let profile = paths(System::Windows, &[("USERPROFILE", "C:/U/a")]);
        assert_eq!(profile, ["C:/U/a/AppData/Local/jami"]);
        assert_eq!(paths(System::Android, &[]), ["/data/data/cx.ring/files"]);
    }

    #[test]
    fn settings_are_looked_for_beside_a_copied_home_first() {
        let variable = |name: &str| (name == "HOME").then(|| PathBuf::from("/home/a"));
        let data = Path::new("/mnt/old/.local/share/jami");
        let found = config_directories(System::Linux, data, variable);
        let expected = ["/mnt/old/.config/jami", "/home/a/.config/jami"];
        assert_eq!(found, expected.map(PathBuf::from));
        let mac = config_directories(System::MacOs, data, variable);
        assert_eq!(mac, [data.to_owned()]);
    }
}
