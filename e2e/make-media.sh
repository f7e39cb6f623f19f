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
person alice 0xd02828 320x240 440
person bob 0x28a048 240x180 660
person carol 0x2848d0 160x120 880

# Moving detail for the journeys that lose packets, where one colour would fit in a packet a frame.
[ -s media/busy.mjpeg ] || ffmpeg -nostdin -loglevel error -y -f lavfi -i "testsrc2=s=640x480:r=20:d=6" -pix_fmt yuvj420p -q:v 4 media/busy.mjpeg

# A drawn person before a wall, for pictures of the page. Colours are "red green blue"; each shape is a
# mask with soft edges over what is behind it.
portrait() { # name wall light shirt skin hair
  [ -s "media/$1.mjpeg" ] && return
  local wall=($2) light=($3) shirt=($4) skin=($5) hair=($6) planes=()
  local shoulders='clip((1-hypot((X-640)/360,(Y-800)/330))*120,0,1)'
  local neck='clip((1-hypot((X-640)/62,(Y-470)/92))*30,0,1)'
  local head='clip((1-hypot((X-640)/112,(Y-330)/140))*60,0,1)'
  local behind='clip((1-hypot((X-640)/142,(Y-312)/164))*60,0,1)'
  local fringe="min($behind,clip((1-hypot((X-700)/250,(Y-180)/112))*60,0,1))"
  for i in 0 1 2; do
    local back="(${wall[i]}+(${light[i]}-${wall[i]})*clip(1-hypot((X-930)/900,(Y-120)/620),0,1))"
    local with_hair="st(0,$back);st(0,ld(0)+(${hair[i]}-ld(0))*$behind)"
    planes+=("$with_hair;st(0,ld(0)+(${shirt[i]}-ld(0))*$shoulders);st(0,ld(0)+(${skin[i]}*0.9-ld(0))*$neck);st(0,ld(0)+(${skin[i]}-ld(0))*$head);ld(0)+(${hair[i]}-ld(0))*$fringe")
  done
  ffmpeg -nostdin -loglevel error -y -f lavfi -i "color=s=1280x720:r=10:d=0.1" -frames:v 1 \
    -vf "format=gbrp,geq=r='${planes[0]}':g='${planes[1]}':b='${planes[2]}'" "media/$1.png"
  ffmpeg -nostdin -loglevel error -y -loop 1 -framerate 10 -t 2 -i "media/$1.png" -pix_fmt yuvj420p -q:v 3 "media/$1.mjpeg"
}
portrait dawn "196 120 92" "250 214 170" "52 74 96" "226 172 140" "62 40 34"
portrait grove "46 92 84" "196 214 168" "214 150 92" "150 104 78" "34 28 32"
