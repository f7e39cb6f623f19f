// The test page without a server: one page sends its camera and microphone to itself, so that the
// instruments can be held against a picture and a sound that are known.
"use strict";

window.loopback = {
  probes: {},

  async start() {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      video: true,
    });
    const [near, far] = [new RTCPeerConnection(), new RTCPeerConnection()];
    near.onicecandidate = ({ candidate }) => candidate && far.addIceCandidate(candidate);
    far.onicecandidate = ({ candidate }) => candidate && near.addIceCandidate(candidate);
    const received = new MediaStream();
    far.ontrack = ({ track }) => received.addTrack(track);
    stream.getTracks().forEach((track) => near.addTrack(track, stream));
    await near.setLocalDescription();
    await far.setRemoteDescription(near.localDescription);
    await far.setLocalDescription();
    await near.setRemoteDescription(far.localDescription);
    await this.watch("sent", stream, true);
    await this.watch("received", received, false);
  },

  async watch(name, stream, muted) {
    const element = Object.assign(document.createElement("video"), { srcObject: stream, muted, autoplay: true, width: 80 });
    document.body.append(element);
    this.probes[name] = { picture: new PictureProbe(element), sound: await SoundProbe.on(stream.getAudioTracks()[0]) };
  },

  read(name) {
    const { picture, sound } = this.probes[name];
    return { ...picture.read(), ...sound.read() };
  },
};
