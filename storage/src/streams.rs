//! The two streams of the log, and things of which each has its own: backends, segments, how far it was read.

use std::ops::{Index, IndexMut};

use shoalmq_core::record::Stream;

/// Both streams, in the order in which a load visits them.
pub const STREAMS: [Stream; 2] = [Stream::Jobs, Stream::Topics];

/// One of something for each stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Streams<T> {
    /// That of the jobs.
    pub jobs: T,
    /// That of the topics.
    pub topics: T,
}

impl<T> Streams<T> {
    /// Makes one for each.
    pub fn each(mut make: impl FnMut(Stream) -> T) -> Self {
        Streams {
            jobs: make(Stream::Jobs),
            topics: make(Stream::Topics),
        }
    }

    /// Makes something of each.
    pub fn map<U>(self, mut make: impl FnMut(T) -> U) -> Streams<U> {
        Streams {
            jobs: make(self.jobs),
            topics: make(self.topics),
        }
    }

    /// Makes something of a view of each.
    pub fn each_ref<U>(&self, mut make: impl FnMut(&T) -> U) -> Streams<U> {
        Streams {
            jobs: make(&self.jobs),
            topics: make(&self.topics),
        }
    }

    /// Both, jobs first.
    pub fn iter(&self) -> impl Iterator<Item = (Stream, &T)> {
        [(Stream::Jobs, &self.jobs), (Stream::Topics, &self.topics)].into_iter()
    }

    /// Both, jobs first.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        [&self.jobs, &self.topics].into_iter()
    }
}

impl<T> Index<Stream> for Streams<T> {
    type Output = T;

    fn index(&self, stream: Stream) -> &T {
        match stream {
            Stream::Jobs => &self.jobs,
            Stream::Topics => &self.topics,
        }
    }
}

impl<T> IndexMut<Stream> for Streams<T> {
    fn index_mut(&mut self, stream: Stream) -> &mut T {
        match stream {
            Stream::Jobs => &mut self.jobs,
            Stream::Topics => &mut self.topics,
        }
    }
}
