// Drives Firefox. Each line of its input is {"goto": URL} or {"evaluate": EXPRESSION}, and is answered by
// a line: {"value": what came of it}, or {"error": why}. The expression may be a promise.
import { createInterface } from "node:readline";
import puppeteer from "puppeteer-core";

const browser = await puppeteer.launch({
  browser: "firefox",
  executablePath: process.argv[2],
  headless: true,
});
const page = await browser.newPage();
for await (const line of createInterface({ input: process.stdin })) {
  const { goto, evaluate } = JSON.parse(line);
  try {
    const value = goto ? void (await page.goto(goto)) : await page.evaluate(evaluate);
    console.log(JSON.stringify({ value: value ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }));
  }
}
await browser.close();
