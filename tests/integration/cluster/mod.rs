//! Clusters of real nodes: what several of them promise together.

mod fixture;
