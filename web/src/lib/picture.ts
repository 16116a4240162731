/** The address of a picture that came as base64; null if there is none. */
export function pictureUrl(base64: string | null | undefined, type?: string | null): string | null {
  if (!base64) return null;
  try {
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    // Only kinds that cannot hold scripts.
    const kind = type === 'image/png' || bytes[0] === 0x89 ? 'image/png' : 'image/jpeg';
    return URL.createObjectURL(new Blob([bytes], { type: kind }));
  } catch {
    return null;
  }
}

/** Text as a picture: for the codes that the node draws. */
export const svgUrl = (svg: string) => URL.createObjectURL(new Blob([svg], { type: 'image/svg+xml' }));

const SIDE = 256;

/** A picture file cut to a small square JPEG, in base64. */
export async function squarePicture(file: Blob): Promise<string> {
  const image = await createImageBitmap(file);
  const side = Math.min(image.width, image.height);
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = SIDE;
  const context = canvas.getContext('2d')!;
  context.fillStyle = '#fff';
  context.fillRect(0, 0, SIDE, SIDE);
  context.drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, SIDE, SIDE);
  return canvas.toDataURL('image/jpeg', 0.85).split(',')[1]!;
}

const KINDS: Record<string, string> = {
  png: 'image/png', jpg: 'image/jpeg', jpeg: 'image/jpeg', gif: 'image/gif', webp: 'image/webp', avif: 'image/avif',
  mp3: 'audio/mpeg', ogg: 'audio/ogg', oga: 'audio/ogg', opus: 'audio/ogg', wav: 'audio/wav', m4a: 'audio/mp4', flac: 'audio/flac',
  mp4: 'video/mp4', webm: 'video/webm', mkv: 'video/x-matroska', mov: 'video/quicktime', ogv: 'video/ogg',
};

/** The kind of a file that can be shown in its place, by its name; SVG is none, as it may hold scripts. */
export const mediaKind = (name: string) => KINDS[name.split('.').pop()?.toLowerCase() ?? ''] ?? '';
