mod failures;
mod forgetting;
mod joining;
mod strangers;
mod world;
