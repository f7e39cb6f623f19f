#!/usr/bin/env bash
# Makes each person's camera and microphone: a colour that flashes white and a tone that beeps, both once a second.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p media

# One second that loops: frames with the first two white, and a beep of 100 ms over a steady tone. Chromium
# shows the last of a file's frames twice, so 19 make a second at 20 a second.
person() { # name colour size tone-in-hertz
  [ -s "media/$1.y4m" ] || ffmpeg -nostdin -loglevel error -y -f lavfi -i "color=c=$2:s=$3:r=20:d=0.95" \
    -vf "drawbox=c=white:t=fill:enable='lt(n,2)'" -pix_fmt yuv420p "media/$1.y4m"
  [ -s "media/$1.wav" ] || ffmpeg -nostdin -loglevel error -y -f lavfi \
    -i "aevalsrc='0.12*sin(2*PI*$4*t)+if(lt(t,0.1),0.6*sin(2*PI*3000*t),0)':s=48000:d=1" -ac 1 -c:a pcm_s16le "media/$1.wav"
}
person alice 0xd02828 640x480 440
person bob 0x28a048 480x360 660
person carol 0x2848d0 320x240 880

# Moving detail for the journeys that lose packets, where one colour would fit in a packet a frame.
[ -s media/busy.mjpeg ] || ffmpeg -nostdin -loglevel error -y -f lavfi -i "testsrc2=s=640x480:r=20:d=6" -q:v 4 media/busy.mjpeg
# Two soft scenes for the picture of the page.
[ -s media/dawn.mjpeg ] || ffmpeg -nostdin -loglevel error -y -f lavfi \
  -i "gradients=s=1280x720:r=10:d=4:c0=0xf2c38f:c1=0x7a9bb5:c2=0xd97b66:n=3:speed=0.02:seed=7" -q:v 3 media/dawn.mjpeg
[ -s media/grove.mjpeg ] || ffmpeg -nostdin -loglevel error -y -f lavfi \
  -i "gradients=s=1280x720:r=10:d=4:c0=0x9cc5a1:c1=0x216869:c2=0xdce1b0:n=3:speed=0.02:seed=3" -q:v 3 media/grove.mjpeg
