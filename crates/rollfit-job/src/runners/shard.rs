//! [`Shard`]: one of N equal shares of a job.

/// The most shares that a job is divided into.
pub const SHARDS_MAX: u32 = 100_000;

/// One of `count` shares of a job, written `I/N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shard {
    index: u32,
    count: u32,
}

/// What is not a [`Shard`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// It is not two numbers.
    #[error("`{0}` is not a shard: write I/N, the first of four is 0/4")]
    Text(String),
    /// There are no shares, or too many.
    #[error("a job has 1 to {SHARDS_MAX} shards, not {0}")]
    Count(u64),
    /// There is no such share.
    #[error("there is no shard {index} of {count}: they are counted from 0 to {last}", last = count - 1)]
    Index {
        /// The share that was asked for.
        index: u64,
        /// How many there are.
        count: u32,
    },
}

impl Shard {
    /// Share `index`, from 0, of `count`.
    ///
    /// # Errors
    /// [`ShardError`], when there is no such share.
    pub fn new(index: u64, count: u64) -> Result<Self, ShardError> {
        let shards = u32::try_from(count).ok().filter(|count| (1..=SHARDS_MAX).contains(count));
        let shards = shards.ok_or(ShardError::Count(count))?;
        match u32::try_from(index) {
            Ok(index) if index < shards => Ok(Self { index, count: shards }),
            _ => Err(ShardError::Index { index, count: shards }),
        }
    }

    /// Which share it is, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many shares there are.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Whether the partition with this output ([`Sink::output`](crate::store::Sink::output)) is in this share. By rendezvous hashing
    /// (Thaler and Ravishankar 1998): the share whose hash with the output is the greatest has it, so that each share of one count has about
    /// as many, and of another count most stay where they are.
    pub fn owns(self, output: &str) -> bool {
        owner(output, self.count) == self.index
    }

    /// The share, of `count`, that [owns](Self::owns) the partition with this output.
    ///
    /// # Errors
    /// [`ShardError::Count`], when a job has no such number of shares.
    pub fn owning(output: &str, count: u64) -> Result<Self, ShardError> {
        let first = Self::new(0, count)?;
        Ok(Self { index: owner(output, first.count), ..first })
    }
}

/// The share, of `count`, that the partition with this output is in.
fn owner(output: &str, count: u32) -> u32 {
    let hash = blake3::hash(output.as_bytes());
    let mut seed = [0; 8];
    seed.copy_from_slice(&hash.as_bytes()[..8]);
    let seed = u64::from_le_bytes(seed);
    (0..count).max_by_key(|&index| mix(seed ^ mix(u64::from(index) + 1))).unwrap_or(0)
}

/// The finalizer of splitmix64 (Steele, Lea and Flood 2014): every bit of the result depends on every bit of `x`.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl std::str::FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let number = |text: &str| -> Option<u64> {
            (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
                .then(|| text.parse().ok())
                .flatten()
        };
        let parts = text.split_once('/');
        match parts.and_then(|(index, count)| number(index).zip(number(count))) {
            Some((index, count)) => Self::new(index, count),
            None => Err(ShardError::Text(text.to_owned())),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{}/{}", self.index, self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_written_as_it_is_read() {
        for text in ["0/1", "3/8", "99999/100000"] {
            assert_eq!(text.parse::<Shard>().unwrap().to_string(), text);
        }
        for (text, part) in [
            ("4/4", "there is no shard 4 of 4: they are counted from 0 to 3"),
            ("0/0", "1 to 100000 shards, not 0"),
            ("0/100001", "not 100001"),
            ("18446744073709551615/2", "no shard 18446744073709551615 of 2"),
            ("3", "`3` is not a shard: write I/N"),
            ("/4", "write I/N"),
            ("3/", "write I/N"),
            ("-1/4", "write I/N"),
            ("+1/4", "write I/N"),
            ("1/4/4", "write I/N"),
            (" 1/4", "` 1/4` is not a shard"),
            ("1/4 ", "`1/4 ` is not a shard"),
            ("1 /4", "write I/N"),
            ("1/ 4", "write I/N"),
            ("99999999999999999999/4", "write I/N"),
            ("", "write I/N"),
        ] {
            let error = text.parse::<Shard>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn every_output_is_in_one_share_and_the_shares_are_about_equal() {
        let outputs: Vec<String> = (0..10_000).map(|n| format!("key=k{n:05}/month=2017-01")).collect();
        for count in [1, 2, 7, 64] {
            let mut sizes = vec![0_usize; count as usize];
            for output in &outputs {
                let owners: Vec<u32> =
                    (0..count).filter(|&index| Shard { index, count }.owns(output)).collect();
                assert_eq!(owners.len(), 1);
                assert_eq!(Shard::owning(output, u64::from(count)).unwrap().index(), owners[0]);
                sizes[owners[0] as usize] += 1;
            }
            let mean = outputs.len() as f64 / f64::from(count);
            let farthest = sizes.iter().map(|&size| (size as f64 - mean).abs()).fold(0.0, f64::max);
            assert!(farthest < 4.5 * mean.sqrt(), "{count}: {sizes:?}");
        }
    }

    #[test]
    fn one_share_more_takes_from_each_and_moves_nothing_between_them() {
        for n in 0..1000 {
            let output = format!("reg_bqx_k{n}_2017_01 reg_idx_k{n}_2017_01");
            let (before, after) = (owner(&output, 8), owner(&output, 9));
            assert!(after == before || after == 8, "{output}: {before} became {after}");
        }
    }

    /// Runners of several versions share a job: where a partition belongs never changes.
    #[test]
    fn shares_are_the_same_in_every_version() {
        let owners: Vec<u32> =
            ["key=eurusd/month=2017-01", "key=eurusd/month=2017-02", "key=gbpusd/month=2017-01", "x", ""]
                .map(|output| owner(output, 64))
                .to_vec();
        assert_eq!(owners, OWNERS_OF_64);
    }

    const OWNERS_OF_64: [u32; 5] = [56, 51, 27, 7, 49];
}
