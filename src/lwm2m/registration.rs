//! Register, Update and Deregister as CoAP requests to `/rd` (LwM2M 1.0 §8.2.1).

use std::time::Duration;

use super::location::REGISTRATION_PATH;
use super::{EndpointNameForm, LinkError, Links, Location};
use crate::coap::{Code, ContentFormat, Request};
use crate::model::{BindingMode, EndpointName, Lwm2mVersion};

/// A request of the registration interface, checked.
#[derive(Clone, Debug)]
pub enum RegistrationRequest<'r> {
    /// `POST /rd?ep=…`.
    Register(Register<'r>),
    /// `POST /rd/<location>`.
    Update {
        /// Which registration.
        location: Location,
        /// What changes.
        update: RegistrationUpdate<'r>,
    },
    /// `DELETE /rd/<location>`.
    Deregister {
        /// Which registration.
        location: Location,
    },
}

/// A Register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register<'r> {
    /// `ep`, normalised.
    pub endpoint: EndpointName,
    /// `lt`, within the limits.
    pub lifetime: Duration,
    /// `lwm2m`.
    pub version: Lwm2mVersion,
    /// `b`, and the bare `Q` of 1.1.
    pub binding: BindingMode,
    /// The payload as sent.
    pub links_text: &'r str,
    /// The payload understood.
    pub links: Links,
}

/// A registration update; `None` is "as it was".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistrationUpdate<'r> {
    /// `lt`, within the limits.
    pub lifetime: Option<Duration>,
    /// `b`.
    pub binding: Option<BindingMode>,
    /// The payload as sent and as understood.
    pub links: Option<(&'r str, Links)>,
}

/// What a request of the registration interface may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistrationLimits {
    /// A shorter lifetime is raised to this.
    pub lifetime_min: Duration,
    /// A longer lifetime is lowered to this.
    pub lifetime_max: Duration,
    /// The lifetime without `lt`: 86,400 s (LwM2M 1.0 §5.3.1).
    pub lifetime_default: Duration,
    /// The most links of one device; more: 4.13.
    pub links_max: usize,
    /// The most bytes of its payload, which is kept; more: 4.13.
    pub links_bytes_max: usize,
    /// How endpoint names are read.
    pub endpoint_name_form: EndpointNameForm,
}

impl Default for RegistrationLimits {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            lifetime_min: Duration::from_secs(60),
            lifetime_max: 30 * DAY,
            lifetime_default: DAY,
            links_max: 512,
            links_bytes_max: 4096,
            endpoint_name_form: EndpointNameForm::Imei,
        }
    }
}

/// Why a request of the registration interface was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// Not a path that was ever given out.
    #[error("no such registration")]
    NotFound,
    /// Not a method of that path.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// A query or the payload is not UTF-8.
    #[error("not UTF-8")]
    NotText,
    /// Which of two was meant cannot be known.
    #[error("{0} is given twice")]
    Repeated(&'static str),
    /// No endpoint name, or none that can be one.
    #[error("endpoint name missing or invalid")]
    InvalidEndpoint,
    /// Not 1 to 4,294,967,295 s.
    #[error("lifetime is invalid")]
    InvalidLifetime,
    /// Not letters, each once.
    #[error("binding is invalid")]
    InvalidBinding,
    /// A version that is not spoken.
    #[error("LwM2M version is not supported")]
    UnsupportedVersion,
    /// The payload is not link format.
    #[error("content format is not application/link-format")]
    UnsupportedContentFormat,
    /// The payload is too long.
    #[error("more than {limit_bytes} bytes of links")]
    LinksTooLong {
        /// The configured limit.
        limit_bytes: usize,
    },
    /// The payload cannot be used.
    #[error(transparent)]
    Links(#[from] LinkError),
}

impl RegistrationError {
    /// The response code.
    pub const fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NOT_FOUND,
            Self::MethodNotAllowed => Code::METHOD_NOT_ALLOWED,
            Self::NotText
            | Self::Repeated(_)
            | Self::InvalidEndpoint
            | Self::InvalidLifetime
            | Self::InvalidBinding
            | Self::Links(LinkError::Malformed { .. }) => Code::BAD_REQUEST,
            Self::UnsupportedVersion => Code::PRECONDITION_FAILED,
            Self::UnsupportedContentFormat => Code::UNSUPPORTED_CONTENT_FORMAT,
            Self::LinksTooLong { .. } | Self::Links(LinkError::TooMany { .. }) => {
                Code::REQUEST_ENTITY_TOO_LARGE
            }
        }
    }
}

impl<'r> RegistrationRequest<'r> {
    /// Reads a request whose path begins with `rd`.
    ///
    /// # Errors
    /// Where it is none of the three, or asks for what cannot be; see [`RegistrationError::code`].
    pub fn parse(
        request: &'r Request,
        limits: &RegistrationLimits,
    ) -> Result<Self, RegistrationError> {
        let path = request.path().ok_or(RegistrationError::NotFound)?;
        match *path.as_slice() {
            [REGISTRATION_PATH] => match request.code {
                Code::POST => Register::parse(request, limits).map(Self::Register),
                _ => Err(RegistrationError::MethodNotAllowed),
            },
            [REGISTRATION_PATH, segment] => {
                let location = Location::parse(segment).ok_or(RegistrationError::NotFound)?;
                match request.code {
                    Code::POST => {
                        let update = RegistrationUpdate::parse(request, limits)?;
                        Ok(Self::Update { location, update })
                    }
                    Code::DELETE => Ok(Self::Deregister { location }),
                    _ => Err(RegistrationError::MethodNotAllowed),
                }
            }
            _ => Err(RegistrationError::NotFound),
        }
    }
}

impl<'r> Register<'r> {
    fn parse(request: &'r Request, limits: &RegistrationLimits) -> Result<Self, RegistrationError> {
        let queries = Queries::parse(request)?;
        let endpoint = queries
            .endpoint
            .and_then(|name| limits.endpoint_name_form.normalise(name).ok())
            .ok_or(RegistrationError::InvalidEndpoint)?;
        let mut binding = queries.binding()?.unwrap_or_default();
        binding.queue_mode |= queries.is_queue_mode;
        let (links_text, links) = parse_links(request, limits)?;
        Ok(Self {
            endpoint,
            lifetime: queries.lifetime(limits)?.unwrap_or(limits.lifetime_default),
            version: queries.version()?,
            binding,
            links_text,
            links,
        })
    }
}

impl<'r> RegistrationUpdate<'r> {
    fn parse(request: &'r Request, limits: &RegistrationLimits) -> Result<Self, RegistrationError> {
        let queries = Queries::parse(request)?;
        let links = parse_links(request, limits)?;
        Ok(Self {
            lifetime: queries.lifetime(limits)?,
            binding: queries.binding()?,
            // An Update without a payload leaves the links as they are.
            links: (!request.payload.is_empty()).then_some(links),
        })
    }
}

/// The queries that are used. `sms` and unknown ones (`mac`) are ignored.
#[derive(Default)]
struct Queries<'r> {
    endpoint: Option<&'r str>,
    lifetime: Option<&'r str>,
    version: Option<&'r str>,
    binding: Option<&'r str>,
    is_queue_mode: bool,
}

impl<'r> Queries<'r> {
    fn parse(request: &'r Request) -> Result<Self, RegistrationError> {
        let mut queries = Self::default();
        for query in request.queries().ok_or(RegistrationError::NotText)? {
            let (name, value) = query.split_once('=').unwrap_or((query, ""));
            let (name, field) = match name {
                "ep" => ("ep", &mut queries.endpoint),
                "lt" => ("lt", &mut queries.lifetime),
                "lwm2m" => ("lwm2m", &mut queries.version),
                "b" => ("b", &mut queries.binding),
                "Q" => {
                    queries.is_queue_mode = true;
                    continue;
                }
                _ => continue,
            };
            if field.replace(value).is_some() {
                return Err(RegistrationError::Repeated(name));
            }
        }
        Ok(queries)
    }

    /// 1 to 2³² − 1 (RFC 9176 §5), brought within the limits.
    fn lifetime(&self, limits: &RegistrationLimits) -> Result<Option<Duration>, RegistrationError> {
        let Some(text) = self.lifetime else {
            return Ok(None);
        };
        let seconds = Some(text)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse::<u32>().ok())
            .filter(|seconds| *seconds > 0)
            .ok_or(RegistrationError::InvalidLifetime)?;
        let lifetime = Duration::from_secs(seconds.into());
        Ok(Some(
            lifetime.max(limits.lifetime_min).min(limits.lifetime_max),
        ))
    }

    /// Without `lwm2m` it is 1.0; `1.0.0`, or `v1` as configured, is how one old client says 1.0.
    fn version(&self) -> Result<Lwm2mVersion, RegistrationError> {
        match self.version {
            None | Some("1.0" | "1.0.0" | "v1") => Ok(Lwm2mVersion::V1_0),
            Some("1.1" | "1.2") => Ok(Lwm2mVersion::V1_1),
            Some(_) => Err(RegistrationError::UnsupportedVersion),
        }
    }

    /// Transports as capital letters, each once, those that we do not know too. `Q` among them is
    /// queue mode (LwM2M 1.0 §5.3.1.1).
    fn binding(&self) -> Result<Option<BindingMode>, RegistrationError> {
        let Some(letters) = self.binding.map(str::as_bytes) else {
            return Ok(None);
        };
        let is_sound = |(at, letter): (usize, &u8)| {
            letter.is_ascii_uppercase() && !letters[..at].contains(letter)
        };
        if letters.is_empty() || !letters.iter().enumerate().all(is_sound) {
            return Err(RegistrationError::InvalidBinding);
        }
        let queue_mode = letters.contains(&b'Q');
        Ok(Some(BindingMode { queue_mode }))
    }
}

/// Modules leave the Content-Format out, and some have nothing to say (carrier flows §3.7).
fn parse_links<'r>(
    request: &'r Request,
    limits: &RegistrationLimits,
) -> Result<(&'r str, Links), RegistrationError> {
    let payload = &request.payload;
    if payload.len() > limits.links_bytes_max {
        let limit_bytes = limits.links_bytes_max;
        return Err(RegistrationError::LinksTooLong { limit_bytes });
    }
    let is_links = matches!(
        request.content_format(),
        None | Some(ContentFormat::LINK_FORMAT)
    );
    if !payload.is_empty() && !is_links {
        return Err(RegistrationError::UnsupportedContentFormat);
    }
    let text = std::str::from_utf8(payload).map_err(|_| RegistrationError::NotText)?;
    Ok((text, Links::parse(text, limits.links_max)?))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::coap::OptionNumber;

    const LINKS: &str = r#"</>;rt="oma.lwm2m",</3/0>,</5/0>"#;
    const LOCATION: &str = "/rd/3-00112233445566778899aabbccddeeff";

    fn request(queries: &[&str], payload: &'static str) -> Request {
        let mut request = Request::new(Code::POST, "/rd");
        for query in queries {
            request = request.with_query(query);
        }
        request.payload = Bytes::from_static(payload.as_bytes());
        request
    }

    /// What comes of a Register with these queries.
    fn outcome(queries: &[&str]) -> Result<(u64, Lwm2mVersion, bool), Code> {
        let request = request(queries, LINKS);
        match RegistrationRequest::parse(&request, &RegistrationLimits::default()) {
            Ok(RegistrationRequest::Register(register)) => Ok((
                register.lifetime.as_secs(),
                register.version,
                register.binding.queue_mode,
            )),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.code()),
        }
    }

    #[test]
    fn registers_of_real_clients_are_taken() {
        use Lwm2mVersion::{V1_0, V1_1};
        for (queries, expected) in [
            (
                &["lwm2m=1.0", "ep=nbdev", "b=U", "lt=60"][..],
                (60, V1_0, false),
            ),
            (
                &["ep=coap-node-ep", "lt=60", "lwm2m=v1", "mac=02:fc:00"],
                (60, V1_0, false),
            ),
            (
                &["ep=coap-node-ep", "lt=86400", "lwm2m=1.0.0", "mac=unknown"],
                (86_400, V1_0, false),
            ),
            (
                &["lwm2m=1.2", "ep=urn:imei:490154203237518", "lt=60"],
                (60, V1_1, false),
            ),
            (
                &["b=UQ", "lwm2m=1.0", "lt=300000", "ep=x"],
                (300_000, V1_0, true),
            ),
            (
                &["lwm2m=1.1", "ep=x", "b=UT", "Q", "sms=123"],
                (86_400, V1_1, true),
            ),
            (&["ep=x", "b=UQS"], (86_400, V1_0, true)),
        ] {
            assert_eq!(outcome(queries), Ok(expected), "{queries:?}");
        }
    }

    #[test]
    fn lifetimes_are_clamped_and_garbage_is_refused() {
        assert_eq!(outcome(&["ep=x", "lt=1"]).unwrap().0, 60);
        assert_eq!(outcome(&["ep=x", "lt=4294967295"]).unwrap().0, 30 * 86_400);
        for lt in [
            "lt=",
            "lt",
            "lt=0",
            "lt=-1",
            "lt=+60",
            "lt=4294967296",
            "lt=NaN",
            "lt=1e3",
        ] {
            assert_eq!(outcome(&["ep=x", lt]), Err(Code::BAD_REQUEST), "{lt}");
        }
    }

    #[test]
    fn what_is_not_sound_is_refused_with_its_code() {
        for queries in [
            &[][..],
            &["ep="],
            &["ep"],
            &["ep=a", "ep=b"],
            &["ep=a", "lt=60", "lt=90"],
            &["ep=a\u{7}"],
            &["ep=a", "b="],
            &["ep=a", "b=ZZZ"],
            &["ep=a", "b=u"],
        ] {
            assert_eq!(outcome(queries), Err(Code::BAD_REQUEST), "{queries:?}");
        }
        for version in ["lwm2m=999", "lwm2m=2.0", "lwm2m=", "lwm2m=1"] {
            let result = outcome(&["ep=a", version]);
            assert_eq!(result, Err(Code::PRECONDITION_FAILED), "{version}");
        }
    }

    #[test]
    fn payloads_are_judged() {
        let code = |request: &Request| {
            RegistrationRequest::parse(request, &RegistrationLimits::default())
                .map(drop)
                .map_err(|error| error.code())
        };
        assert_eq!(code(&request(&["ep=a"], "")), Ok(()));
        assert_eq!(code(&request(&["ep=a"], "</3/0>,")), Err(Code::BAD_REQUEST));
        let bare = || request(&["ep=a"], "");
        let link_format = bare().with_payload(ContentFormat::LINK_FORMAT, LINKS);
        assert_eq!(code(&link_format), Ok(()));
        let tlv = bare().with_payload(ContentFormat::TLV, LINKS);
        assert_eq!(code(&tlv), Err(Code::UNSUPPORTED_CONTENT_FORMAT));
        let binary = bare().with_payload(ContentFormat::LINK_FORMAT, Bytes::from_static(b"<\xff>"));
        assert_eq!(code(&binary), Err(Code::BAD_REQUEST));
        let many = bare().with_payload(ContentFormat::LINK_FORMAT, vec!["</1>"; 513].join(","));
        assert_eq!(code(&many), Err(Code::REQUEST_ENTITY_TOO_LARGE));
        let long = bare().with_payload(ContentFormat::LINK_FORMAT, vec![b' '; 4097]);
        assert_eq!(code(&long), Err(Code::REQUEST_ENTITY_TOO_LARGE));
    }

    #[test]
    fn an_update_says_only_what_changes() {
        let limits = RegistrationLimits::default();
        let mut request = Request::new(Code::POST, LOCATION);
        let Ok(RegistrationRequest::Update { location, update }) =
            RegistrationRequest::parse(&request, &limits)
        else {
            panic!("not an Update")
        };
        assert_eq!(
            (location.slot.0, update),
            (3, RegistrationUpdate::default())
        );
        request = request.with_query("lt=120").with_query("b=UQ");
        request.payload = Bytes::from_static(b"</19/0>");
        let Ok(RegistrationRequest::Update { update, .. }) =
            RegistrationRequest::parse(&request, &limits)
        else {
            panic!("not an Update")
        };
        assert_eq!(update.lifetime, Some(Duration::from_secs(120)));
        assert_eq!(update.binding, Some(BindingMode { queue_mode: true }));
        let (text, links) = update.links.unwrap();
        assert!(text == "</19/0>" && links.has_object(19));
    }

    #[test]
    fn paths_and_methods_that_are_none_are_refused() {
        let code = |method, path| {
            let request = Request::new(method, path).with_query("ep=a");
            RegistrationRequest::parse(&request, &RegistrationLimits::default())
                .map(drop)
                .map_err(|error| error.code())
        };
        assert_eq!(code(Code::DELETE, LOCATION), Ok(()));
        assert_eq!(code(Code::GET, "/rd"), Err(Code::METHOD_NOT_ALLOWED));
        assert_eq!(code(Code::PUT, LOCATION), Err(Code::METHOD_NOT_ALLOWED));
        assert_eq!(code(Code::POST, "/rd/3"), Err(Code::NOT_FOUND));
        assert_eq!(code(Code::POST, "/rd/3/4"), Err(Code::NOT_FOUND));
        assert_eq!(code(Code::POST, "/"), Err(Code::NOT_FOUND));
    }

    proptest! {
        #[test]
        fn any_request_is_read_or_refused(
            queries in proptest::collection::vec(
                prop_oneof!["(ep|lt|lwm2m|b|Q|x)=?[0-9A-Za-z.;:=-]{0,12}".prop_map(String::into_bytes),
                    proptest::collection::vec(any::<u8>(), 0..8)],
                0..6,
            ),
            payload in proptest::collection::vec(any::<u8>(), 0..32),
            format in proptest::option::of(any::<u16>()),
        ) {
            let mut request = Request::new(Code::POST, "/rd");
            for query in queries {
                request.options.push(OptionNumber::URI_QUERY, query);
            }
            request.payload = payload.into();
            if let Some(format) = format {
                request.options.push_uint(OptionNumber::CONTENT_FORMAT, format.into());
            }
            if let Err(error) = RegistrationRequest::parse(&request, &RegistrationLimits::default()) {
                prop_assert_eq!(error.code().class(), 4);
            }
        }
    }
}
