//! The demonstration that README opens with.

use crate::program::World;

#[test]
fn the_demonstration_is_killed_resumes_and_compares_everything() {
    let world = World::with(0);
    let ended = world
        .run("demo --objects 10000 --keep kept --color never")
        .with(0);
    let said = |words: &str| ended.stdout.matches(words).count();
    assert_eq!(said("killed (SIGKILL)"), 2, "{}", ended.stdout);
    assert_eq!(said("resumed and complete"), 2, "{}", ended.stdout);
    let compared = "compared 10,000 objects of `Article` and `ArticleRestored`";
    assert_eq!(said(compared), 2, "{}", ended.stdout);
    assert!(ended.stdout.contains("nothing is missing"));
    // It has its own server, and leaves what it was asked to keep.
    assert_eq!(world.writes(), Vec::<String>::new());
    assert_eq!(world.archives("kept/backups").len(), 1);
}
