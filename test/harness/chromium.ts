import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { type Browser, type BrowserContextOptions, chromium } from 'playwright-core'

/** What it would do by itself on the network, which no test needs. */
const quiet = ['--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync']

/** Starts Debian's Chromium, headless. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: '/usr/bin/chromium', args: quiet })
}

export const phone: BrowserContextOptions = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }
export const desktop: BrowserContextOptions = { viewport: { width: 1280, height: 900 } }

/** The folder for pictures of pages, made where it is missing; git does not know it. */
export async function screenshotFolder(): Promise<string> {
  const folder = fileURLToPath(new URL('../../.cache/screenshots/', import.meta.url))
  await mkdir(folder, { recursive: true })
  return folder
}
