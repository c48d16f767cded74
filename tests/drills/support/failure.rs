use std::fmt;

/// Why a drill failed, in a sentence or a story.
#[derive(Debug)]
pub struct Failure(String);

pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }

    pub fn during(self, what: impl fmt::Display) -> Self {
        Self(format!("{what}: {}", self.0))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whatever else goes wrong on the way is a failure of the drill too.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut why = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            why += &format!(": {cause}");
            source = cause.source();
        }
        Self(why)
    }
}

/// `ensure!(it_holds, "what does not hold, {with} {details}")`
macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err($crate::support::Failure::new(format!($($why)+)));
        }
    };
}
pub(crate) use ensure;
