//! [`Role`]: what kind of server a session must be on, and how to find out.

/// What `target_session_attrs` asks of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

/// The words for them.
pub(super) const ROLES: [(&str, Role); 6] = [
    ("any", Role::Any),
    ("read-write", Role::ReadWrite),
    ("read-only", Role::ReadOnly),
    ("primary", Role::Primary),
    ("standby", Role::Standby),
    ("prefer-standby", Role::PreferStandby),
];

/// What to ask a server to know whether it will do.
pub(super) struct Question {
    pub(super) query: &'static str,
    /// The answer that will do.
    pub(super) answer: &'static str,
    /// What is to be said of a server that gives another.
    pub(super) otherwise: &'static str,
}

impl Role {
    /// The rounds in which to try all hosts: those that are preferred, then the others.
    pub(super) fn rounds(self) -> &'static [Role] {
        match self {
            Self::Any => &[Self::Any],
            Self::ReadWrite => &[Self::ReadWrite],
            Self::ReadOnly => &[Self::ReadOnly],
            Self::Primary => &[Self::Primary],
            Self::Standby => &[Self::Standby],
            Self::PreferStandby => &[Self::Standby, Self::Any],
        }
    }

    /// The word for it.
    pub(super) fn name(self) -> &'static str {
        ROLES.iter().find(|(_, role)| *role == self).map_or("", |(name, _)| name)
    }

    pub(super) fn question(self) -> Option<Question> {
        const READ_ONLY: &str = "SHOW transaction_read_only";
        const STANDBY: &str = "SELECT pg_catalog.pg_is_in_recovery()";
        let (query, answer, otherwise) = match self {
            Self::Any | Self::PreferStandby => return None,
            Self::ReadWrite => {
                (READ_ONLY, "off", "takes no writes: it is a standby, or default_transaction_read_only is on")
            }
            Self::ReadOnly => (READ_ONLY, "on", "takes writes"),
            Self::Primary => (STANDBY, "f", "is a standby"),
            Self::Standby => (STANDBY, "t", "is no standby"),
        };
        Some(Question { query, answer, otherwise })
    }
}
