//! [`Role`]: which kind of server to use, and how to recognize one.

/// The value of `target_session_attrs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

/// The words for the roles.
pub(crate) const ROLES: [(&str, Role); 6] = [
    ("any", Role::Any),
    ("read-write", Role::ReadWrite),
    ("read-only", Role::ReadOnly),
    ("primary", Role::Primary),
    ("standby", Role::Standby),
    ("prefer-standby", Role::PreferStandby),
];

/// How to find out whether a server has a role.
pub(crate) struct RoleCheck {
    pub(crate) query: &'static str,
    /// The answer of a server that has the role.
    pub(crate) answer: &'static str,
    /// What a server with another answer is.
    pub(crate) otherwise: &'static str,
}

impl Role {
    /// Returns the roles to try all hosts for, one after the other.
    pub(crate) fn rounds(self) -> &'static [Role] {
        match self {
            Self::Any => &[Self::Any],
            Self::ReadWrite => &[Self::ReadWrite],
            Self::ReadOnly => &[Self::ReadOnly],
            Self::Primary => &[Self::Primary],
            Self::Standby => &[Self::Standby],
            Self::PreferStandby => &[Self::Standby, Self::Any],
        }
    }

    /// Returns the word for the role.
    pub(crate) fn name(self) -> &'static str {
        ROLES.iter().find(|(_, role)| *role == self).map_or("", |(name, _)| name)
    }

    /// Returns how to check for the role; `None` if any server will do.
    pub(crate) fn check(self) -> Option<RoleCheck> {
        const READ_ONLY: &str = "SHOW transaction_read_only";
        const STANDBY: &str = "SELECT pg_catalog.pg_is_in_recovery()";
        let (query, answer, otherwise) = match self {
            Self::Any | Self::PreferStandby => return None,
            Self::ReadWrite => (
                READ_ONLY,
                "off",
                "accepts no writes: it is a standby, or default_transaction_read_only is on",
            ),
            Self::ReadOnly => (READ_ONLY, "on", "accepts writes"),
            Self::Primary => (STANDBY, "f", "is a standby"),
            Self::Standby => (STANDBY, "t", "is not a standby"),
        };
        Some(RoleCheck { query, answer, otherwise })
    }
}
