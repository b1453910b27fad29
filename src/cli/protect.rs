//! Collections that no destructive command touches, whatever it is told.
//!
//! A pure rule over the name. It holds for the name as typed and for the name behind an alias: whoever
//! resolves an alias asks again. `--force` answers questions; it does not lift a protection.

use crate::error::{Error, Kind, Result};
pub use crate::model::matches_glob;

/// Names that are always protected.
pub const ALWAYS: [&str; 3] = ["ELYSIACTL_*", "*_SYSTEM", ".internal*"];

/// The pattern that protects `name`: one of [`ALWAYS`], or one of the profile's `protect` list.
pub fn protecting<'a>(name: &str, profile: &'a [String]) -> Option<&'a str> {
    let always = ALWAYS.into_iter();
    always
        .chain(profile.iter().map(String::as_str))
        .find(|pattern| matches_glob(pattern, name) || matches_glob(&capitalised(pattern), name))
}

/// Refuses a destructive command on a protected collection.
pub fn refuse_protected(name: &str, profile: &[String]) -> Result<()> {
    let Some(pattern) = protecting(name, profile) else {
        return Ok(());
    };
    let hint = if ALWAYS.contains(&pattern) {
        "such names belong to a system and are never cleared, removed or restored into"
    } else {
        "take the pattern out of the profile's `protect` list if this is really meant"
    };
    Err(Error::new(
        Kind::Usage,
        format!("collection `{name}` is protected by `{pattern}`"),
    )
    .with_kept("nothing was touched")
    .with_hint(hint))
}

// The server capitalises the first letter of a name; a pattern written without it means the same.
fn capitalised(pattern: &str) -> String {
    let mut letters = pattern.chars();
    match letters.next() {
        Some(first) => first.to_ascii_uppercase().to_string() + letters.as_str(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_names_are_protected_without_any_profile() {
        for name in [
            "ELYSIACTL_JOBS",
            "ELYSIACTL_",
            "Billing_SYSTEM",
            ".internal",
            ".internal_users",
        ] {
            let refused = refuse_protected(name, &[]).unwrap_err();
            assert_eq!(refused.kind(), Kind::Usage, "{name}");
        }
        for name in [
            "Article",
            "Solar_system",
            "ELYSIACTL",
            "SYSTEM",
            "Xinternal",
        ] {
            assert!(refuse_protected(name, &[]).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_profile_protects_more_and_may_omit_the_capital() {
        let profile = ["prod*".to_owned(), "Users".to_owned()];
        assert_eq!(protecting("ProdOrders", &profile), Some("prod*"));
        assert_eq!(protecting("Users", &profile), Some("Users"));
        assert_eq!(protecting("Users2", &profile), None);
        assert_eq!(
            refuse_protected("ProdOrders", &profile)
                .unwrap_err()
                .message(),
            "collection `ProdOrders` is protected by `prod*`"
        );
    }

    #[test]
    fn globs_match_whole_names() {
        let cases = [
            ("*", "", true),
            ("*", "abc", true),
            ("a*c", "abbbc", true),
            ("a*c", "abcd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*b*b*", "abcb", true),
            ("", "", true),
            ("", "a", false),
            ("abc", "ABC", false),
            ("é*", "été", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches_glob(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        assert!(!matches_glob(
            &"*a".repeat(60),
            &"a".repeat(5000).replace("aa", "ab")
        ));
    }
}
