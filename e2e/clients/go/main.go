// A walk over the REST API with the Go helper library; see clients.test.mjs.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"

	"github.com/twilio/twilio-go/client"
	video "github.com/twilio/twilio-go/rest/video/v1"
)

var seen = map[string]interface{}{}

// step keeps what a call gives, or the code of its error.
func step(what string, call func() (interface{}, error)) {
	value, err := call()
	var refused *client.TwilioRestError
	switch {
	case errors.As(err, &refused):
		seen[what] = refused.Code
	case err != nil:
		log.Fatalf("%s: %v", what, err)
	default:
		seen[what] = value
	}
}

func types(rules *[]video.VideoV1RoomRoomParticipantRoomParticipantSubscribeRuleRules) []string {
	found := []string{}
	for _, rule := range *rules {
		found = append(found, rule.Type)
	}
	return found
}

func main() {
	server, err := url.Parse(os.Getenv("ROTUNDA_URL"))
	if err != nil {
		log.Fatal(err)
	}
	api := connect(server, os.Getenv("ACCOUNT_SID"), os.Getenv("API_KEY_SID"), os.Getenv("API_KEY_SECRET"))
	name := os.Args[1]
	room, err := api.CreateRoom((&video.CreateRoomParams{}).SetUniqueName(name).SetEmptyRoomTimeout(1).SetVideoCodecs([]string{"VP8"}))
	if err != nil {
		log.Fatal(err)
	}
	sid := *room.Sid
	fmt.Println(sid)
	bufio.NewScanner(os.Stdin).Scan()

	step("fetched", func() (interface{}, error) {
		room, err := api.FetchRoom(name)
		return err == nil && *room.Sid == sid, err
	})
	step("listed", func() (interface{}, error) {
		rooms, err := api.ListRoom((&video.ListRoomParams{}).SetUniqueName(name))
		return len(rooms), err
	})
	step("paged", func() (interface{}, error) {
		identities := []string{}
		rows, err := api.ListRoomParticipant(name, (&video.ListRoomParticipantParams{}).SetPageSize(1))
		for _, row := range rows {
			identities = append(identities, *row.Identity)
		}
		return identities, err
	})
	step("participant", func() (interface{}, error) {
		row, err := api.FetchRoomParticipant(name, "ana")
		if err != nil {
			return nil, err
		}
		return row.Status, nil
	})
	step("published", func() (interface{}, error) {
		kinds := []string{}
		tracks, err := api.ListRoomParticipantPublishedTrack(name, "ana", (&video.ListRoomParticipantPublishedTrackParams{}).SetPageSize(1))
		for _, track := range tracks {
			kinds = append(kinds, *track.Kind)
		}
		return kinds, err
	})
	step("named", func() (interface{}, error) {
		tracks, err := api.ListRoomParticipantPublishedTrack(name, "ana", nil)
		if err != nil {
			return nil, err
		}
		track, err := api.FetchRoomParticipantPublishedTrack(name, "ana", *tracks[0].Name)
		if err != nil {
			return nil, err
		}
		return track.Kind, nil
	})
	step("subscribed", func() (interface{}, error) {
		kinds := []string{}
		tracks, err := api.ListRoomParticipantSubscribedTrack(name, "ana", (&video.ListRoomParticipantSubscribedTrackParams{}).SetPageSize(1))
		for _, track := range tracks {
			kinds = append(kinds, *track.Kind)
		}
		return kinds, err
	})
	step("rules", func() (interface{}, error) {
		rules, err := api.FetchRoomParticipantSubscribeRule(name, "ana")
		if err != nil {
			return nil, err
		}
		return types(rules.Rules), nil
	})
	step("replaced", func() (interface{}, error) {
		params := &video.UpdateRoomParticipantSubscribeRuleParams{}
		params.SetRules([]map[string]interface{}{{"type": "exclude", "all": true}})
		rules, err := api.UpdateRoomParticipantSubscribeRule(name, "ana", params)
		if err != nil {
			return nil, err
		}
		return types(rules.Rules), nil
	})
	ben, err := api.FetchRoomParticipant(name, "ben")
	if err != nil {
		log.Fatal(err)
	}
	step("disconnected", func() (interface{}, error) {
		row, err := api.UpdateRoomParticipant(name, "ben", (&video.UpdateRoomParticipantParams{}).SetStatus("disconnected"))
		if err != nil {
			return nil, err
		}
		return row.Status, nil
	})
	step("anonymized", func() (interface{}, error) {
		row, err := api.UpdateRoomParticipantAnonymize(name, *ben.Sid)
		return err == nil && *row.Identity == *ben.Sid, err
	})
	step("completed", func() (interface{}, error) {
		room, err := api.UpdateRoom(name, (&video.UpdateRoomParams{}).SetStatus("completed"))
		if err != nil {
			return nil, err
		}
		return room.Status, nil
	})
	step("afterwards", func() (interface{}, error) {
		rows, err := api.ListRoomParticipant(sid, (&video.ListRoomParticipantParams{}).SetPageSize(1))
		return len(rows), err
	})
	step("gone", func() (interface{}, error) {
		_, err := api.FetchRoom(name)
		return nil, err
	})
	text, err := json.Marshal(seen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
}
