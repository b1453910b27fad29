//! The one place where precedence is decided: for each setting, who is asked in which order.

use std::path::PathBuf;

use secrecy::SecretString;

use super::address::Address;
use super::profile::Profile;
use super::resolve::{Chosen, Request};
use super::secrets::{Credential, Header};
use super::weaviate_cli::Fallback;
use super::{Origin, Settings, Sourced};
use crate::error::{Error, Kind, Result};

const DEFAULT_URL: &str = "http://localhost:8080";

pub(super) struct Sources<'a> {
    request: Request<'a>,
    url: Sourced<Address>,
    chosen: Option<Chosen>,
    fallback: Option<Fallback>,
    // False if the profile is for another server than the one that is used.
    trusts_profile: bool,
}

impl<'a> Sources<'a> {
    pub(super) fn new(
        request: Request<'a>,
        given: Option<Sourced<Address>>,
        chosen: Option<Chosen>,
        fallback: Option<Fallback>,
    ) -> Result<Self> {
        let of_profile = || {
            let chosen = chosen.as_ref()?;
            Some(Sourced {
                value: chosen.address.clone()?,
                origin: chosen.origin(),
            })
        };
        let of_fallback = || {
            fallback.as_ref().map(|found| Sourced {
                value: found.url.clone(),
                origin: Origin::WeaviateCli,
            })
        };
        let url = match given.or_else(of_profile).or_else(of_fallback) {
            Some(url) => url,
            None => Sourced {
                value: Address::parse(DEFAULT_URL)?,
                origin: Origin::Default,
            },
        };
        let its_own = chosen.as_ref().and_then(|chosen| chosen.address.as_ref());
        let trusts_profile = its_own.is_none_or(|address| address.is_same_server(&url.value));
        Ok(Sources {
            request,
            url,
            chosen,
            fallback,
            trusts_profile,
        })
    }

    pub(super) fn settings(&self) -> Result<Settings> {
        let args = self.request.args;
        let profile = self.chosen.as_ref();
        let settings = Settings {
            url: Sourced {
                value: self.url.value.to_string(),
                origin: self.url.origin.clone(),
            },
            grpc_url: self.grpc_url()?,
            credential: self.credential()?,
            headers: self.headers()?,
            ca_cert: self.path("ca-cert", &args.ca_cert, |profile| &profile.ca_cert),
            client_cert: self.path("client-cert", &args.client_cert, |profile| {
                &profile.client_cert
            }),
            client_key: self.path("client-key", &args.client_key, |profile| {
                &profile.client_key
            }),
            insecure: Sourced {
                value: args.insecure_skip_verify,
                origin: self.origin_if(args.insecure_skip_verify, "insecure-skip-verify"),
            },
            timeouts: Sourced {
                value: args.timeout.unwrap_or_default(),
                origin: self.origin_if(args.timeout.is_some(), "timeout"),
            },
            transport: Sourced {
                value: args.transport,
                origin: self.origin_if(args.transport != Default::default(), "transport"),
            },
            profile: profile.map(|chosen| chosen.name.clone()),
            access: profile
                .map(|chosen| chosen.profile.access)
                .unwrap_or_default(),
            protect: profile
                .map(|chosen| chosen.profile.protect.clone())
                .unwrap_or_default(),
            warnings: self.warnings(),
        };
        whole_certificate(settings)
    }

    fn origin_if(&self, is_given: bool, flag: &'static str) -> Origin {
        if is_given {
            self.request.flag(flag)
        } else {
            Origin::Default
        }
    }

    fn trusted(&self) -> Option<&Chosen> {
        self.chosen.as_ref().filter(|_| self.trusts_profile)
    }

    fn path(
        &self,
        flag: &'static str,
        typed: &Option<PathBuf>,
        of_profile: impl Fn(&Profile) -> &Option<PathBuf>,
    ) -> Option<Sourced<PathBuf>> {
        if let Some(path) = typed {
            return Some(Sourced {
                value: path.clone(),
                origin: self.request.flag(flag),
            });
        }
        let chosen = self.trusted()?;
        let value = of_profile(&chosen.profile).clone()?;
        Some(Sourced {
            value,
            origin: chosen.origin(),
        })
    }

    fn grpc_url(&self) -> Result<Sourced<String>> {
        let typed = self.request.args.grpc_url.as_deref();
        let of_flag = || {
            typed.map(|value| Sourced {
                value,
                origin: self.request.flag("grpc-url"),
            })
        };
        let of_profile = || {
            let chosen = self.trusted()?;
            Some(Sourced {
                value: chosen.profile.grpc_url.as_deref()?,
                origin: chosen.origin(),
            })
        };
        let parsed = |found: Sourced<&str>| {
            let value =
                Address::parse(found.value).map_err(|error| error.within("the address of gRPC"))?;
            Ok(Sourced {
                value: value.to_string(),
                origin: found.origin,
            })
        };
        if let Some(found) = of_flag().or_else(|| self.request.variable(&["WEAVIATE_GRPC_URL"])) {
            return parsed(found);
        }
        if let Some(found) = self.grpc_of_host_and_port()? {
            return Ok(found);
        }
        if let Some(found) = of_profile() {
            return parsed(found);
        }
        let of_fallback = self
            .fallback
            .as_ref()
            .and_then(|found| found.grpc_url.clone());
        Ok(match of_fallback {
            Some(address) => Sourced {
                value: address.to_string(),
                origin: Origin::WeaviateCli,
            },
            None => Sourced {
                value: self.url.value.grpc().to_string(),
                origin: Origin::Url,
            },
        })
    }

    // The half that is not set follows from the URL.
    fn grpc_of_host_and_port(&self) -> Result<Option<Sourced<String>>> {
        let host = self.request.variable(&["WEAVIATE_GRPC_HOST"]);
        let port = self.request.variable(&["WEAVIATE_GRPC_PORT"]);
        let Some(origin) = host
            .as_ref()
            .or(port.as_ref())
            .map(|found| found.origin.clone())
        else {
            return Ok(None);
        };
        let derived = self.url.value.grpc();
        let number = match port {
            Some(port) => Some(port.value.parse::<u16>().map_err(|_| {
                Error::new(
                    Kind::Usage,
                    format!("`WEAVIATE_GRPC_PORT` is `{}`, which is no port", port.value),
                )
            })?),
            None => derived.port,
        };
        let is_tls = derived.is_tls || number == Some(443);
        let host = host.map_or(derived.host, |host| host.value.to_owned());
        let scheme = if is_tls { "https" } else { "http" };
        let address = Address::parse(&format!("{scheme}://{host}"))
            .map_err(|error| error.within("WEAVIATE_GRPC_HOST"))?;
        let address = Address {
            port: address.port.or(number),
            ..address
        };
        Ok(Some(Sourced {
            value: address.to_string(),
            origin,
        }))
    }

    fn credential(&self) -> Result<Option<Sourced<Credential>>> {
        let (args, request) = (self.request.args, &self.request);
        if let Some(path) = &args.api_key_file {
            let origin = request.flag("api-key-file");
            return Ok(Some(Sourced {
                value: Credential::KeyFile(path.clone()),
                origin,
            }));
        }
        if let Some(path) = &args.token_file {
            let origin = request.flag("token-file");
            return Ok(Some(Sourced {
                value: Credential::TokenFile(path.clone()),
                origin,
            }));
        }
        if let Some(key) = request.variable(&["WEAVIATE_API_KEY", "WCD_API_KEY"]) {
            let value = Credential::Key(SecretString::from(key.value.trim()));
            return Ok(Some(Sourced {
                value,
                origin: key.origin,
            }));
        }
        if let Some(chosen) = self.trusted() {
            let value = credential_of(chosen)?;
            return Ok(value.map(|value| Sourced {
                value,
                origin: chosen.origin(),
            }));
        }
        let key = self
            .fallback
            .as_ref()
            .and_then(|found| found.api_key.clone());
        Ok(key.map(|key| Sourced {
            value: Credential::Key(key),
            origin: Origin::WeaviateCli,
        }))
    }

    fn headers(&self) -> Result<Vec<Sourced<Header>>> {
        let mut headers: Vec<Sourced<Header>> = Vec::new();
        for typed in &self.request.args.headers {
            let value = Header::parse(&typed.0)?;
            headers.retain(|header| !header.value.name.eq_ignore_ascii_case(&value.name));
            headers.push(Sourced {
                value,
                origin: self.request.flag("header"),
            });
        }
        let of_profile = self
            .trusted()
            .map(|chosen| (&chosen.profile.headers, chosen.origin()));
        let of_fallback = self
            .fallback
            .as_ref()
            .map(|found| (&found.headers, Origin::WeaviateCli));
        let (pairs, origin) = match of_profile.or(of_fallback) {
            Some(found) => found,
            None => return Ok(headers),
        };
        for (name, value) in pairs {
            if !headers
                .iter()
                .any(|header| header.value.name.eq_ignore_ascii_case(name))
            {
                headers.push(Sourced {
                    value: Header::new(name, value)?,
                    origin: origin.clone(),
                });
            }
        }
        Ok(headers)
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.request.args.insecure_skip_verify {
            warnings.push("the server's certificate is not checked: anybody on the way can read the key and the data".to_owned());
        }
        // A default profile that is for another server is no surprise; one that was asked for is.
        if let Some(chosen) = &self.chosen
            && !self.trusts_profile
            && chosen.name.origin != Origin::Default
        {
            warnings.push(format!(
                "profile `{}` is for {}; its keys, headers and certificates are not used with {} ({})",
                chosen.name.value,
                chosen.address.as_ref().map(ToString::to_string).unwrap_or_default(),
                self.url.value,
                self.url.origin
            ));
        }
        warnings.extend(
            self.fallback
                .as_ref()
                .and_then(|found| found.warning.clone()),
        );
        warnings
    }
}

fn credential_of(chosen: &Chosen) -> Result<Option<Credential>> {
    let Profile {
        api_key_file,
        api_key_command,
        token_file,
        ..
    } = &chosen.profile;
    let mut found = [
        api_key_file.clone().map(Credential::KeyFile),
        api_key_command
            .as_deref()
            .map(|command| Credential::Command(SecretString::from(command))),
        token_file.clone().map(Credential::TokenFile),
    ]
    .into_iter()
    .flatten();
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(Error::new(
            Kind::Usage,
            format!(
                "profile `{}` has more than one of api_key_file, api_key_command and token_file",
                chosen.name.value
            ),
        )),
        (one, None) => Ok(one),
    }
}

fn whole_certificate(settings: Settings) -> Result<Settings> {
    match (&settings.client_cert, &settings.client_key) {
        (Some(_), None) | (None, Some(_)) => Err(Error::new(
            Kind::Usage,
            "a client certificate needs its private key, and a key its certificate",
        )
        .with_hint("pass both --client-cert and --client-key")),
        _ => Ok(settings),
    }
}
