//! What rustls says of a connection that it refuses, in words for people: what is wrong at which end, and what helps.

/// Trying again does not change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::weaviate) struct Trouble {
    pub words: &'static str,
    pub hint: &'static str,
    /// The words of rustls, one of which is among its text.
    signs: &'static [&'static str],
}

/// What the other end says of ours comes first: it uses some of the same words.
const TROUBLES: [Trouble; 7] = [
    Trouble {
        words: "it wants a certificate of the client",
        hint: "pass one with --client-cert and --client-key",
        signs: &["fatal alert: CertificateRequired"],
    },
    Trouble {
        words: "it does not accept the certificate of the client",
        hint: "check --client-cert and --client-key",
        signs: &[
            "fatal alert: BadCertificate",
            "fatal alert: UnknownCA",
            "fatal alert: Certificate",
            "fatal alert: UnsupportedCertificate",
        ],
    },
    Trouble {
        words: "its certificate is signed by an authority that is not known here",
        hint: "pass the certificate of the authority with --ca-cert",
        signs: &["UnknownIssuer"],
    },
    Trouble {
        words: "its certificate has expired",
        hint: "have it renewed, and look at the clock of this machine",
        signs: &["Expired", "certificate expired"],
    },
    Trouble {
        words: "its certificate is not valid yet",
        hint: "look at the clock of this machine",
        signs: &["NotValidYet", "certificate not valid yet"],
    },
    Trouble {
        words: "its certificate is for another name",
        hint: "write the address with a name that the certificate bears",
        signs: &["NotValidForName", "not valid for name"],
    },
    Trouble {
        words: "it does not speak TLS",
        hint: "write http:// if it is served without TLS, or check the port",
        signs: &["InvalidContentType"],
    },
];

const OTHER: Trouble = Trouble {
    words: "its certificate is not accepted",
    hint: "check the address, --ca-cert and the certificate of the server",
    signs: &["certificate"],
};

impl Trouble {
    /// By the text of an error, or by what [`Trouble::describe`] made of it.
    pub fn of(why: &str) -> Option<Trouble> {
        let is_it = |trouble: &&Trouble| {
            why.contains(trouble.words) || trouble.signs.iter().any(|sign| why.contains(sign))
        };
        TROUBLES.iter().chain([&OTHER]).find(is_it).copied()
    }

    /// The words, and what rustls said where that tells more.
    pub fn describe(&self, why: &str) -> String {
        let more = why.trim_start_matches("invalid peer certificate: ");
        match more.contains(char::is_whitespace) && !why.contains("fatal alert") {
            true if !why.contains("InvalidContentType") => format!("{}: {more}", self.words),
            _ => self.words.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_is_wrong_and_which_flag_helps() {
        for (why, words, hint) in [
            (
                "invalid peer certificate: UnknownIssuer",
                "authority",
                "--ca-cert",
            ),
            ("invalid peer certificate: Expired", "expired", "clock"),
            (
                "invalid peer certificate: certificate not valid for name \"a\"; certificate is only valid for DnsName(\"b\")",
                "DnsName(\"b\")",
                "name",
            ),
            (
                "received fatal alert: CertificateRequired",
                "of the client",
                "--client-cert",
            ),
            (
                "received fatal alert: CertificateExpired",
                "not accept",
                "--client-cert",
            ),
            (
                "received corrupt message of type InvalidContentType",
                "speak TLS",
                "http://",
            ),
            (
                "invalid peer certificate: BadSignature",
                "not accepted",
                "--ca-cert",
            ),
        ] {
            let trouble = Trouble::of(why).unwrap();
            let said = trouble.describe(why);
            assert!(said.contains(words), "{said}");
            assert!(trouble.hint.contains(hint), "{said}: {}", trouble.hint);
            assert_eq!(Trouble::of(&said), Some(trouble), "{said}");
        }
        assert_eq!(Trouble::of("connection refused"), None);
    }
}
