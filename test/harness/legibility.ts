import type { Page } from 'playwright-core'

/** A text on a page and how well it can be read. */
export interface Legible {
  text: string
  /** WCAG 2 contrast with what is behind it, 1 to 21. */
  contrast: number
}

/** Every text of a page with its contrast, as the browser paints it. */
export function contrasts(page: Page): Promise<Legible[]> {
  return page.evaluate(() => {
    type Colour = [number, number, number, number]
    interface Element {
      tagName: string
      parentElement: Element | null
    }
    interface Text {
      data: string
      parentElement: Element
    }
    const { document, getComputedStyle, NodeFilter } = globalThis as unknown as {
      document: { body: Element; createTreeWalker: (root: Element, what: number) => { nextNode: () => Text | null } }
      getComputedStyle: (element: unknown) => Record<string, string>
      NodeFilter: { SHOW_TEXT: number }
    }
    const parse = (colour: string): Colour => {
      const [red = 0, green = 0, blue = 0, alpha = 1] = (colour.match(/[\d.]+/g) ?? []).map(Number)
      return [red, green, blue, alpha]
    }
    const luminance = ([red, green, blue]: Colour) => {
      const [r, g, b] = [red, green, blue].map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4)) as [
        number,
        number,
        number,
      ]
      return 0.2126 * r + 0.7152 * g + 0.0722 * b
    }
    const behind = (element: Element): Colour => {
      for (let at: Element | null = element; at; at = at.parentElement) {
        const colour = parse(getComputedStyle(at).backgroundColor ?? '')
        if (colour[3] === 1) return colour
      }
      return [255, 255, 255, 1]
    }
    const found: { text: string; contrast: number }[] = []
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const text = node.data.trim()
      const element = node.parentElement
      if (text === '' || ['STYLE', 'SCRIPT'].includes(element.tagName)) continue
      const [first, second] = [luminance(parse(getComputedStyle(element).color ?? '')), luminance(behind(element))]
      found.push({ text, contrast: (Math.max(first, second) + 0.05) / (Math.min(first, second) + 0.05) })
    }
    return found
  })
}
