//! Pages: every row once, in both directions, whatever happens in between.

use room::RoomSid;

use crate::world::{Answer, OTHERS, World};

/// A room with this many connected participants `p0`, `p1`, …, a second apart.
async fn full(name: Option<&str>, count: usize) -> (World, RoomSid) {
    let world = World::start().await;
    let room = world.room(name, 0).await;
    for number in 0..count {
        world.join(room, &format!("p{number}"), number as i64).await;
    }
    (world, room)
}

fn newest_first(count: usize) -> Vec<String> {
    (0..count).rev().map(|number| format!("p{number}")).collect()
}

/// All pages from this URL on, in the direction of the `meta` member `link`.
async fn walk(world: &World, first: &str, link: &str) -> Vec<Answer> {
    let mut pages = vec![world.get(first).await];
    while let Some(next) = pages.last().unwrap().meta(link).as_str() {
        assert!(pages.len() < 50, "the list does not end");
        pages.push(world.get(next).await);
    }
    pages
}

fn identities(pages: &[Answer]) -> Vec<String> {
    pages.iter().flat_map(|page| page.column("identity")).collect()
}

#[tokio::test]
async fn every_row_once_in_both_directions() {
    for (count, size) in [(0, 2), (1, 2), (2, 2), (5, 2), (6, 2), (6, 3), (7, 1), (3, 50)] {
        let (world, room) = full(None, count).await;
        let first = format!("/v1/Rooms/{room}/Participants?PageSize={size}");
        let pages = walk(&world, &first, "next_page_url").await;
        assert_eq!(identities(&pages), newest_first(count));
        // k × size rows end with the k-th page.
        assert_eq!(pages.len(), count.div_ceil(size).max(1), "{count} rows, {size} a page");
        for (number, page) in pages.iter().enumerate() {
            assert_eq!(page.meta("page"), number);
            assert_eq!(page.meta("first_page_url"), format!("{}{first}&Page=0", world.base()));
            assert_eq!(page.meta("previous_page_url").is_null(), number == 0);
        }
        let last = pages.last().unwrap().meta("url");
        let mut back = walk(&world, last.as_str().unwrap(), "previous_page_url").await;
        assert_eq!(back.len(), pages.len());
        assert_eq!(back.last().unwrap().meta("page"), 0);
        back.reverse();
        assert_eq!(identities(&back), newest_first(count));
    }
}

#[tokio::test]
async fn rooms_have_pages_too() {
    let world = World::start().await;
    let mut rooms = Vec::new();
    for second in 0..5 {
        rooms.insert(0, world.room(None, second).await.to_string());
    }
    let filters = "DateCreatedAfter=2017-07-30T20%3A00%3A01Z&DateCreatedBefore=2017-08-01";
    let pages = walk(&world, &format!("/v1/Rooms?{filters}&PageSize=2"), "next_page_url").await;
    let found: Vec<_> = pages.iter().flat_map(|page| page.column("sid")).collect();
    assert_eq!(found, rooms[..4]);
    let url = pages[1].meta("url").as_str().unwrap().to_owned();
    assert!(
        url.starts_with(&format!(
            "{}/v1/Rooms?{filters}&PageSize=2&Page=1&PageToken=",
            world.base()
        )),
        "{url}"
    );
}

#[tokio::test]
async fn the_size_may_change_from_page_to_page() {
    let (world, room) = full(None, 6).await;
    let first = world.get(&format!("/v1/Rooms/{room}/Participants?PageSize=1")).await;
    let next = first
        .meta("next_page_url")
        .as_str()
        .unwrap()
        .replace("PageSize=1", "PageSize=4");
    assert_eq!(world.get(&next).await.column("identity"), ["p4", "p3", "p2", "p1"]);
}

#[tokio::test]
async fn an_iteration_survives_that_its_name_is_given_to_another_room() {
    let (world, room) = full(Some("daily"), 4).await;
    let first = world.get("/v1/Rooms/daily/Participants?PageSize=2").await;
    let second = first.meta("next_page_url").as_str().unwrap().to_owned();
    let sids: Vec<_> = world.get(&format!("/v1/Rooms/{room}/Participants")).await.column("sid");
    for sid in &sids[2..] {
        world.leave(room, sid.parse().unwrap(), 100, 100).await;
    }
    let survivors = world.get(&second).await;
    assert!(
        survivors.column("identity").is_empty(),
        "they are not connected any more"
    );
    for sid in &sids[..2] {
        world.leave(room, sid.parse().unwrap(), 100, 100).await;
    }
    world.complete(room, 101).await;
    let reused = world.room(Some("daily"), 200).await;
    world.join(reused, "newcomer", 201).await;
    // Nobody of the old room is connected, and nobody of the new one is in this list.
    assert!(world.get(&second).await.column("identity").is_empty());
    assert_eq!(
        world.get("/v1/Rooms/daily/Participants").await.column("identity"),
        ["newcomer"]
    );
}

#[tokio::test]
async fn an_iteration_over_the_gone_survives_completion_and_reuse() {
    let (world, room) = full(Some("daily"), 5).await;
    for sid in world.get(&format!("/v1/Rooms/{room}/Participants")).await.column("sid") {
        world.leave(room, sid.parse().unwrap(), 100, 90).await;
    }
    let first = world
        .get("/v1/Rooms/daily/Participants?Status=disconnected&PageSize=2")
        .await;
    let second = first.meta("next_page_url").as_str().unwrap().to_owned();
    world.complete(room, 101).await;
    for reuse in [false, true] {
        if reuse {
            world.room(Some("daily"), 200).await;
        }
        let pages = walk(&world, &second, "next_page_url").await;
        assert_eq!(identities(&pages), ["p2", "p1", "p0"]);
        let back = pages[0].meta("previous_page_url");
        assert_eq!(world.get(back.as_str().unwrap()).await.column("identity"), ["p4", "p3"]);
    }
}

#[tokio::test]
async fn an_empty_page_leads_back_to_the_row_it_follows() {
    let (world, room) = full(None, 3).await;
    let list = format!("/v1/Rooms/{room}/Participants?PageSize=2");
    let second = world
        .get(&list)
        .await
        .meta("next_page_url")
        .as_str()
        .unwrap()
        .to_owned();
    let oldest = world.get(&second).await.column("sid")[0].parse().unwrap();
    world.leave(room, oldest, 10, 10).await;
    let empty = world.get(&second).await;
    assert!(empty.column("identity").is_empty() && empty.meta("next_page_url").is_null());
    let back = empty.meta("previous_page_url");
    assert_eq!(world.get(back.as_str().unwrap()).await.column("identity"), ["p2", "p1"]);
}

#[tokio::test]
async fn newcomers_do_not_disturb_an_iteration() {
    let (world, room) = full(None, 4).await;
    let first = world.get(&format!("/v1/Rooms/{room}/Participants?PageSize=2")).await;
    world.join(room, "late", 50).await;
    let second = world.get(first.meta("next_page_url").as_str().unwrap()).await;
    assert_eq!(second.column("identity"), ["p1", "p0"]);
    let back = world.get(second.meta("previous_page_url").as_str().unwrap()).await;
    assert_eq!(back.column("identity"), ["p3", "p2"]);
    assert!(back.meta("previous_page_url").is_string());
}

#[tokio::test]
async fn a_token_is_for_its_list_alone() {
    let (world, room) = full(Some("daily"), 3).await;
    world.room(Some("weekly"), 1).await;
    let first = world.get(&format!("/v1/Rooms/{room}/Participants?PageSize=1")).await;
    let next = first.meta("next_page_url").as_str().unwrap().to_owned();
    let token = next.split("PageToken=").nth(1).unwrap().to_owned();
    let rooms = world.get("/v1/Rooms?PageSize=1").await;
    let rooms_token = rooms
        .meta("next_page_url")
        .as_str()
        .unwrap()
        .split("PageToken=")
        .nth(1)
        .unwrap()
        .to_owned();
    for target in [
        format!("/v1/Rooms?PageToken={token}"),
        format!("/v1/Rooms/{room}/Participants?PageToken={rooms_token}"),
        format!("/v1/Rooms/weekly/Participants?PageToken={token}"),
        format!("/v1/Rooms/nowhere/Participants?PageToken={token}"),
        format!("/v1/Rooms/RM00000000000000000000000000000001/Participants?PageToken={token}"),
        format!("/v1/Rooms/{room}/Participants?Status=disconnected&PageToken={token}"),
        format!("/v1/Rooms/{room}/Participants?Identity=p1&PageToken={token}"),
        format!("/v1/Rooms?Status=completed&PageToken={rooms_token}"),
        format!("/v1/Rooms/{room}/Participants?PageToken={}", &token[..token.len() - 1]),
        format!("/v1/Rooms/{room}/Participants?PageToken=x"),
    ] {
        let answer = world.get(&target).await;
        assert_eq!(answer.error(), (400, 21481), "{target}");
        assert_eq!(answer.json()["message"], "Invalid PageToken");
    }
    // By its name or its SID, the room is the same; filters may be left out.
    for path in ["daily", &room.to_string()] {
        let answer = world
            .get(&format!("/v1/Rooms/{path}/Participants?PageSize=1&PageToken={token}"))
            .await;
        assert_eq!(answer.column("identity"), ["p1"]);
    }
    // Another server (another key) did not issue it; nor did this one for another account.
    let stranger = World::start().await;
    let there = stranger.get(&format!("/v1/Rooms?PageToken={rooms_token}")).await;
    assert_eq!(there.error(), (400, 21481));
    assert_ne!(OTHERS, crate::world::ACCOUNT);
}

#[tokio::test]
async fn filters_that_are_left_out_come_from_the_token() {
    let (world, room) = full(None, 4).await;
    for sid in world.get(&format!("/v1/Rooms/{room}/Participants")).await.column("sid") {
        world.leave(room, sid.parse().unwrap(), 10, 5).await;
    }
    let list = format!("/v1/Rooms/{room}/Participants");
    let query = "Status=disconnected&DateCreatedAfter=2017-07-30T20%3A00%3A00Z&PageSize=1";
    let first = world.get(&format!("{list}?{query}")).await;
    let next = first.meta("next_page_url").as_str().unwrap().to_owned();
    let token = next.split("PageToken=").nth(1).unwrap();
    let bare = world.get(&format!("{list}?PageSize=1&Page=1&PageToken={token}")).await;
    assert_eq!(bare.text, world.get(&next).await.text);
    assert_eq!(
        identities(&walk(&world, &format!("{list}?{query}"), "next_page_url").await),
        ["p3", "p2", "p1"]
    );
}
