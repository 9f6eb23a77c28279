// The line between input and output, and the picture in its true size.
const at = (id) => document.getElementById(id);

/** Puts the line where the slider says, a part of what is seen of the pictures. */
export function place() {
  const stage = at('stage').getBoundingClientRect();
  const pictures = at('pictures').getBoundingClientRect();
  const wipe = at('wipe').valueAsNumber;
  at('stage').style.setProperty('--wipe', wipe);
  at('pictures').style.setProperty('--cut', `${stage.left + wipe * stage.width - pictures.left}px`);
}

function follow(event) {
  const { left, width } = at('stage').getBoundingClientRect();
  at('wipe').value = (event.clientX - left) / width;
  place();
}

let drag;
at('stage').addEventListener('pointerdown', (event) => {
  const zoomed = at('stage').classList.contains('zoomed');
  // A finger scrolls a large picture by itself.
  if (event.button !== 0 || (zoomed && event.target !== at('handle') && event.pointerType !== 'mouse')) return;
  drag = zoomed && event.target !== at('handle') ? 'pictures' : 'line';
  at('stage').setPointerCapture(event.pointerId);
  if (drag === 'line') follow(event);
});
at('stage').addEventListener('pointermove', (event) => {
  if (drag === 'line') follow(event);
  if (drag === 'pictures') at('scroll').scrollBy(-event.movementX, -event.movementY);
});
for (const end of ['pointerup', 'pointercancel']) at('stage').addEventListener(end, () => (drag = undefined));
at('wipe').addEventListener('input', place);
at('scroll').addEventListener('scroll', place);
addEventListener('resize', place);
at('zoom').addEventListener('click', () => {
  const zoomed = at('stage').classList.toggle('zoomed');
  at('zoom').setAttribute('aria-pressed', zoomed);
  const scroll = at('scroll');
  scroll.scrollTo((scroll.scrollWidth - scroll.clientWidth) / 2, (scroll.scrollHeight - scroll.clientHeight) / 2);
  place();
});
