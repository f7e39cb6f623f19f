//! What is too old goes, and the pages of who is reading it end well.

use std::path::Path;
use std::time::Duration;

use rotunda::config::Data;
use rotunda::retention::Keep;

use crate::world::World;

async fn serve(directory: &Path, keep: Keep) -> World {
    World::with(|settings| {
        settings.data = Data::Directory(directory.to_owned());
        settings.database = testkit::postgres::wanted_in(directory).map(|url| url.parse().unwrap());
        settings.keep = keep;
    })
    .await
}

#[tokio::test]
async fn an_old_room_goes_and_pages_of_it_end_well() {
    let directory = tempfile::tempdir().unwrap();
    let world = serve(directory.path(), Keep::default()).await;
    let live = world.room(Some("live"), 0).await;
    let old = world.room(Some("old"), 0).await;
    for number in 0..3 {
        let sid = world.join(old, &format!("p{number}"), number).await;
        world.leave(old, sid, 9, 1).await;
    }
    let mut links = Vec::new();
    for name in [old.to_string(), "old".to_owned()] {
        let list = format!("/v1/Rooms/{name}/Participants?Status=disconnected&PageSize=2");
        let next = world.get(&list).await.meta("next_page_url");
        links.push(next.as_str().unwrap().strip_prefix(&world.base()).unwrap().to_owned());
    }
    world.complete(old, 10).await;
    world.server.shutdown().await;

    // Everything in it ended years ago.
    let keep = Keep {
        rooms: Some(Duration::from_secs(24 * 60 * 60)),
        ..Keep::default()
    };
    let world = serve(directory.path(), keep).await;
    let url = format!("/v1/Rooms/{old}");
    let gone = async {
        while world.get(&url).await.status != 404 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap();
    for link in links {
        let page = world.get(&link).await;
        assert_eq!(page.status, 200, "{}", page.text);
        assert!(page.column("identity").is_empty());
        assert!(page.meta("next_page_url").is_null());
    }
    // It ended now at the earliest.
    assert_eq!(world.get(&format!("/v1/Rooms/{live}")).await.status, 200);
}
